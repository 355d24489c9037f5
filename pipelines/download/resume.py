"""Merges the results of an earlier run of a unit with those of photos that are fetched again."""

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
    """The result of one photo of a unit: staged or rejected.

    Attributes:
      row: of facts, without offset and length.
      frame: the staged record, framed for a TFRecord file; None where the photo was rejected.
      detail: why the photo was rejected, for a person to read.
    """

    row: dict[str, Any]
    frame: bytes | None
    detail: str = ""


def is_tried_again(summary: UnitSummary, retry_rejected: bool) -> bool:
    """Returns whether a unit that is done is to be staged again, for its transient rejects."""
    return retry_rejected and any(summary.rejected.get(reason) for reason in TRANSIENT)


# ---- results of an earlier run --------------------------------------------------------------


class EarlierResults:
    """The results of a unit that is done, without its rejects for a transient reason.

    Merged with fresh results for these, in the unit's order, they give the same bytes as a run
    without such rejects.
    """

    def __init__(self, unit: Unit, output: Output):
        self._output = output
        self._unit = unit
        self._rows: list[dict[str, Any]] = []
        self._details: dict[str, str] = {}
        if filesystem.exists(output.done(unit.name)):
            facts = parquet.read(output.facts(unit.name), schema.FACTS)
            self._rows = parquet.to_rows(facts, schema.FACTS)
            rejects = read_rejects(output.rejects(unit.name))
            self._details = {reject.id: reject.detail for reject in rejects}

    def remaining(self) -> Unit:
        """Returns the unit with only those ids and URLs that are to be tried again."""
        unit = self._unit
        if not self._rows or unit.ids is None:
            return unit
        again = {row["id"] for row in self._rows if row["reason"] in TRANSIENT}
        kept = [n for n, image_id in enumerate(unit.ids) if image_id in again]
        urls = unit.urls and tuple(unit.urls[n] for n in kept)
        return dataclasses.replace(unit, ids=tuple(unit.ids[n] for n in kept), urls=urls)

    def merged(self, fresh: Iterator[Result]) -> Iterator[Result]:
        """Yields all results in the unit's order.

        Args:
          fresh: the results of the photos that are tried again, in the unit's order.
        """
        if not self._rows:
            yield from fresh
            return
        with filesystem.open_read(self._output.staged(self._unit.name)) as staged:
            for row in self._rows:
                if row["reason"] in TRANSIENT:
                    yield next(fresh)
                elif row["status"] == STAGED:
                    yield Result(row, staged.read(row["length"]))
                else:
                    yield Result(row, None, self._details.get(row["id"], ""))
