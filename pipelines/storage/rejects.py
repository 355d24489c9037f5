"""Rejects as JSON lines"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from pipelines.common.reasons import Reason, Reject
from pipelines.storage import filesystem


def jsonl(rejects: Iterable[Reject]) -> str:
    return "".join(json.dumps(dataclasses.asdict(reject)) + "\n" for reject in rejects)


def read_rejects(path: str) -> list[Reject]:
    rows = map(json.loads, filesystem.read(path).splitlines())
    return [Reject(**row | {"reason": Reason(row["reason"])}) for row in rows]
