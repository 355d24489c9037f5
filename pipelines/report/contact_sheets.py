"""Contact sheets with their photos: a few images are found among millions and put on tiles."""

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
from pipelines.common.paths import Output
from pipelines.common.schema import Reason, UserError
from pipelines.imaging import contact_sheet
from pipelines.report.selection import Group, Sheet
from pipelines.storage import filesystem, parquet, ranged_reads, tf_example

DECISIONS = {n: schema.DECISIONS[n] for n in ("id", "landmark_id", "reason", "split")}
PLACE = ("unit", "offset", "length")
HASHES = ("phash", "dhash", "fine_0", "fine_1")
FACTS = {n: schema.FACTS[n] for n in ("id", *PLACE, *HASHES, "width", "height", "entropy")}
REFERENCES = ("test", "index")  # splits that train is compared with
KEPT, REFERENCE = "#2e8b57", "#d97706"  # frames of a group's first photo
Row = dict[str, Any]
Rows = dict[str, Row]  # by id


@dataclasses.dataclass
class Known:
    """What is known of the images on all sheets, by their ids.

    Attributes:
      decisions: DECISIONS.
      facts: FACTS, of those staged; of an id staged twice, the first and then the other.
    """

    decisions: Rows
    facts: dict[str, list[Row]]


def look_up(ids: Collection[str], decisions: Iterable[str], facts: Iterable[str]) -> Known:
    """Finds images by their ids in the files of decisions and of facts."""
    # Of an id that came twice, what is said last is said: that one was kept.
    decided = _rows(decisions, DECISIONS, ids).sort_values("reason", na_position="last")
    staged = _rows(facts, FACTS, ids).dropna(subset="offset").sort_values(["unit", "offset"])
    known = Known({row["id"]: row for row in parquet.to_rows(decided, DECISIONS)}, {})
    for row in parquet.to_rows(staged, FACTS):
        known.facts.setdefault(row["id"], []).append(row)
    return known


def _rows(paths: Iterable[str], columns: Mapping[str, str], ids: Collection[str]) -> pd.DataFrame:
    """The rows of some ids; of the files, read side by side, no other column is read."""
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


def picture(chosen: Sheet, known: Known, output: Output) -> bytes | None:
    """The sheet as JPEG; None where no photo of it was ever staged."""
    which = -1 if chosen.reason == Reason.REPEATED_ID else 0
    staged = {name: known.facts[name][which] for name in chosen.ids if name in known.facts}
    if not staged:
        return None
    photos = dict(zip(staged, jpegs(staged.values(), output), strict=True))
    tiles = _grouped if chosen.grouped else _alone
    return contact_sheet.draw(
        [tiles(group, known.decisions, staged, photos) for group in chosen.groups]
    )


def jpegs(facts: Iterable[Row], output: Output) -> list[bytes]:
    """The photos of rows of facts, in their order."""
    places = [
        ranged_reads.Place(row["unit"], row["offset"], row["length"], index)
        for index, row in enumerate(facts)
    ]
    records = ranged_reads.gather(places, output.staged)
    return [tf_example.decode(record)[schema.ENCODED] for record in records]  # type: ignore[misc]


# ---- tiles ----------------------------------------------------------------------------------


def _alone(
    group: Group, decisions: Rows, staged: Rows, photos: dict[str, bytes]
) -> list[contact_sheet.Tile]:
    """Photos with what the filters look at."""
    tiles = []
    for name in group.ids:
        if row := staged.get(name):
            looks = f"{row['width']} x {row['height']}, entropy {row['entropy']:.1f}"
            lines = (name, _whose(decisions[name]), looks)
            tiles.append(contact_sheet.Tile(photos[name], lines))
    return tiles


def _grouped(
    group: Group, decisions: Rows, staged: Rows, photos: dict[str, bytes]
) -> list[contact_sheet.Tile]:
    """The first photo in a frame that says what it is, and then those that went for it."""
    head, *others = group.ids
    row = decisions[head]
    tiles = [contact_sheet.Tile(photos.get(head), (head, _whose(row), _fate(row)), _frame(row))]
    for name in others:
        row = decisions[name]
        fate = _fate(row) + _distance(staged.get(head), staged.get(name))
        tiles.append(contact_sheet.Tile(photos.get(name), (name, _whose(row), fate)))
    if group.more:
        tiles.append(contact_sheet.Tile(None, (f"and {group.more:,} more",)))
    return tiles


def _fate(row: Row) -> str:
    return (row["reason"] or "kept").replace("_", " ")


def _whose(row: Row) -> str:
    """Test and index photos have no landmarks."""
    if row["split"] in REFERENCES:
        return f"{row['split']} photo"
    return "no landmark" if row["landmark_id"] is None else f"landmark {row['landmark_id']}"


def _frame(row: Row) -> str | None:
    if row["split"] in REFERENCES:
        return REFERENCE
    return None if row["reason"] else KEPT


def _distance(first: Row | None, other: Row | None) -> str:
    """Bits in which two photos differ: of the hash by which they are nearer, and of the finer."""
    if not first or not other:
        return ""
    phash, dhash, *fine = ((first[name] ^ other[name]).bit_count() for name in HASHES)
    return f", {min(phash, dhash)} / {sum(fine)}"
