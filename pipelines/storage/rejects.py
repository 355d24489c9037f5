"""Reads and formats rejects as JSON lines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from pipelines.common.reasons import Reject
from pipelines.common.records import json_record
from pipelines.storage import filesystem


def jsonl(rejects: Iterable[Reject]) -> str:
    """Returns the rejects as JSON lines, in the order given."""
    return "".join(json.dumps(dataclasses.asdict(reject)) + "\n" for reject in rejects)


def read_rejects(path: str) -> list[Reject]:
    """Reads a file of rejects.

    Raises:
      UserError: there is no such file, or a line of it is not a reject.
    """
    lines = filesystem.read(path).splitlines()
    return [json_record.loads(Reject, line, f"{path} row {n}") for n, line in enumerate(lines, 1)]
