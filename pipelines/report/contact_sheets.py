"""Contact sheets with their photos: a few images are found among millions and put on tiles."""

from __future__ import annotations

from pipelines.common.paths import Output
from pipelines.common.reasons import Reason
from pipelines.imaging import contact_sheet
from pipelines.report.selection import Group, Sheet
from pipelines.storage.staged_photos import HASHES, KnownImages, Row, Rows, read_jpegs

REFERENCES = ("test", "index")  # splits that train is compared with
KEPT, REFERENCE = "#2e8b57", "#d97706"  # frames of a group's first photo


def picture(chosen: Sheet, known: KnownImages, output: Output) -> bytes | None:
    """The sheet as JPEG; None where no photo of it was ever staged."""
    which = -1 if chosen.reason == Reason.REPEATED_ID else 0
    staged = {name: known.facts[name][which] for name in chosen.ids if name in known.facts}
    if not staged:
        return None
    photos = dict(zip(staged, read_jpegs(staged.values(), output), strict=True))
    tiles = _grouped if chosen.grouped else _alone
    return contact_sheet.draw(
        [tiles(group, known.decisions, staged, photos) for group in chosen.groups]
    )


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
