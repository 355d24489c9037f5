"""Counts the photos, tars and bytes of a source without fetching the photos."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipelines.common.errors import UserError
from pipelines.common.schema import STAGED_SPLITS
from pipelines.plan.stage_costs import SplitCounts
from pipelines.source import metadata_csv
from pipelines.source.discover import BLOCK, discover_source
from pipelines.source.unit import Unit
from pipelines.storage import streams

ASKED = 16  # requests for the sizes of tars that run at once


def count_source(root: str) -> dict[str, SplitCounts]:
    """Counts the photos (rows of CSVs), tars and bytes of each split of a source.

    Raises:
      UserError: the source has no photos, or its server does not answer.
    """
    source = discover_source(root, STAGED_SPLITS)
    listings = {"train": source.train_csv, "test": source.test_csv}
    found = {}
    for name in source.splits:
        parts = [part for part in source.parts if part.split == name]
        tars = [part.source for part in parts if isinstance(part, Unit)]
        images = _rows(listings.get(name) or f"{root.rstrip('/')}/metadata/{name}.csv")
        units = len(tars) or -(-images // BLOCK)
        found[name] = SplitCounts(images, max(1, units), _bytes(tars) if tars else None)
    return found


def _rows(path: str) -> int:
    return sum(map(len, metadata_csv.ids(path)))


def _bytes(tars: Sequence[str]) -> int | None:
    """Returns the size of all tars, bytes; None where the server does not tell that of each."""
    try:
        with ThreadPoolExecutor(ASKED) as pool:
            sizes = list(pool.map(streams.size, tars))
    except streams.Unreachable as error:
        raise UserError(str(error)) from None
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
