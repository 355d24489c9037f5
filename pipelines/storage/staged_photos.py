"""Looks up the facts, decisions and JPEGs of staged photos by their ids."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.common import schema
from pipelines.common.errors import UserError
from pipelines.common.paths import Output
from pipelines.storage import filesystem, parquet, ranged_reads, tf_example

DECISIONS = {n: schema.DECISIONS[n] for n in ("id", "landmark_id", "reason", "split")}
LOCATION = ("unit", "offset", "length")
HASHES = ("phash", "dhash", "fine_0", "fine_1")
FACTS = {n: schema.FACTS[n] for n in ("id", *LOCATION, *HASHES, "width", "height", "entropy")}
Row = dict[str, Any]
Rows = dict[str, Row]  # by id


@dataclasses.dataclass
class KnownImages:
    """The decisions and facts of the images that were looked up.

    Attributes:
      decisions: id -> row with the columns DECISIONS.
      facts: id -> rows with the columns FACTS, one for each time that it was staged, in the
        order of unit and offset.
    """

    decisions: Rows
    facts: dict[str, list[Row]]


def look_up(ids: Collection[str], decisions: Iterable[str], facts: Iterable[str]) -> KnownImages:
    """Returns the decisions and facts of images.

    Args:
      ids: of the images.
      decisions: paths of files of decisions.
      facts: paths of files of facts.

    Raises:
      UserError: a file is not Parquet, or lacks a column.
    """
    # Of an id with several rows the last one counts: by this order, the row that was kept.
    decided = _rows(decisions, DECISIONS, ids).sort_values("reason", na_position="last")
    staged = _rows(facts, FACTS, ids).dropna(subset="offset").sort_values(["unit", "offset"])
    known = KnownImages({row["id"]: row for row in parquet.to_rows(decided, DECISIONS)}, {})
    for row in parquet.to_rows(staged, FACTS):
        known.facts.setdefault(row["id"], []).append(row)
    return known


def _rows(paths: Iterable[str], columns: Mapping[str, str], ids: Collection[str]) -> pd.DataFrame:
    """Returns the rows of some ids; reads the files in parallel, these columns alone."""
    wanted = pc.field("id").isin(pa.array(sorted(ids), pa.string()))

    def read(path: str) -> pa.Table:
        try:
            with filesystem.open_read(path) as file:
                return pq.read_table(file, columns=list(columns), filters=wanted)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path}: expected Parquet with {[*columns]}, found: {error}") from None

    with concurrent.futures.ThreadPoolExecutor(ranged_reads.READERS) as pool:
        found = [parquet.arrow_schema(columns).empty_table(), *pool.map(read, paths)]
    return parquet.frame(pa.concat_tables(found))


def read_jpegs(facts: Iterable[Row], output: Output) -> list[bytes]:
    """Returns the JPEGs of rows of facts, in their order."""
    places = ranged_reads.locations((row["unit"], row["offset"], row["length"]) for row in facts)
    records = ranged_reads.gather(places, output.staged)
    return [tf_example.decode(record)[schema.ENCODED] for record in records]  # type: ignore[misc]
