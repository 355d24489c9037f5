"""What an earlier run of a unit left, merged with what is fetched anew"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from pipelines.common import schema
from pipelines.common.paths import Output
from pipelines.common.schema import STAGED
from pipelines.source.unit import TRANSIENT, Unit, UnitSummary
from pipelines.storage import filesystem, parquet
from pipelines.storage.rejects import read_rejects


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one photo of a unit.

    Attributes:
      row: of facts, without its place.
      frame: the staged record, or None where it was rejected.
      detail: why it was rejected, for a person.
    """

    row: dict[str, Any]
    frame: bytes | None
    detail: str = ""


def is_tried_again(summary: UnitSummary, retry_rejected: bool) -> bool:
    """Returns whether a finished unit, by its done.json, is worked on once more."""
    return retry_rejected and any(summary.rejected.get(reason) for reason in TRANSIENT)


# ---- what an earlier run of the unit left ---------------------------------------------------


class _Earlier:
    """The results of a unit that is done, but for what it rejected for a passing reason.

    Merged with fresh results for the rest, in the unit's order, they give the
    bytes that a run in which all went well would have given.
    """

    def __init__(self, unit: Unit, output: Output):
        self._output = output
        self._unit = unit.name
        self._rows: list[dict[str, Any]] = []
        self._details: dict[str, str] = {}
        if filesystem.exists(output.done(unit.name)):
            facts = parquet.read(output.facts(unit.name), schema.FACTS)
            self._rows = parquet.to_rows(facts, schema.FACTS)
            rejects = read_rejects(output.rejects(unit.name))
            self._details = {reject.id: reject.detail for reject in rejects}

    def without_what_is_done(self, unit: Unit) -> Unit:
        """The unit with only those ids and URLs that are to be tried again."""
        if not self._rows or unit.ids is None:
            return unit
        again = {row["id"] for row in self._rows if row["reason"] in TRANSIENT}
        kept = [n for n, image_id in enumerate(unit.ids) if image_id in again]
        urls = unit.urls and tuple(unit.urls[n] for n in kept)
        return dataclasses.replace(unit, ids=tuple(unit.ids[n] for n in kept), urls=urls)

    def merged(self, fresh: Iterator[Result]) -> Iterator[Result]:
        """All results in the unit's order."""
        if not self._rows:
            yield from fresh
            return
        with filesystem.open_read(self._output.staged(self._unit)) as staged:
            for row in self._rows:
                if row["reason"] in TRANSIENT:
                    yield next(fresh)
                elif row["status"] == STAGED:
                    yield Result(row, staged.read(row["length"]))
                else:
                    yield Result(row, None, self._details.get(row["id"], ""))
