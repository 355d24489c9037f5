"""Draws the report's contact sheets: reads the selected photos and labels their tiles."""

from __future__ import annotations

from pipelines.common.paths import Output
from pipelines.common.reasons import Reason
from pipelines.imaging import contact_sheet
from pipelines.report.selection import Group, Sheet
from pipelines.storage.staged_photos import HASHES, KnownImages, Row, Rows, read_jpegs

REFERENCES = ("test", "index")  # splits that train photos are compared with
KEPT, REFERENCE = "#2e8b57", "#d97706"  # colours of the frame of a group's first photo


def picture(chosen: Sheet, known: KnownImages, output: Output) -> bytes | None:
    """Draws a contact sheet.

    Args:
      chosen: the selection for the sheet.
      known: decisions and facts of its photos.
      output: whose staged photos are read.

    Returns:
      JPEG; None where none of the photos was staged.
    """
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
    """Returns tiles of single photos, labelled with what the filters measure."""
    tiles = []
    for name in group.ids:
        if row := staged.get(name):
            measured = f"{row['width']} x {row['height']}, entropy {row['entropy']:.1f}"
            lines = (name, _landmark(decisions[name]), measured)
            tiles.append(contact_sheet.Tile(photos[name], lines))
    return tiles


def _grouped(
    group: Group, decisions: Rows, staged: Rows, photos: dict[str, bytes]
) -> list[contact_sheet.Tile]:
    """Returns tiles of a group: the representative in a coloured frame, then its duplicates."""
    first, *others = group.ids
    row = decisions[first]
    lines = (first, _landmark(row), _decision(row))
    tiles = [contact_sheet.Tile(photos.get(first), lines, _frame(row))]
    for name in others:
        row = decisions[name]
        decision = _decision(row) + _distance(staged.get(first), staged.get(name))
        tiles.append(contact_sheet.Tile(photos.get(name), (name, _landmark(row), decision)))
    if group.more:
        tiles.append(contact_sheet.Tile(None, (f"and {group.more:,} more",)))
    return tiles


def _decision(row: Row) -> str:
    return (row["reason"] or "kept").replace("_", " ")


def _landmark(row: Row) -> str:
    """Names a photo's landmark, or its split where that has no landmarks."""
    if row["split"] in REFERENCES:
        return f"{row['split']} photo"
    return "no landmark" if row["landmark_id"] is None else f"landmark {row['landmark_id']}"


def _frame(row: Row) -> str | None:
    if row["split"] in REFERENCES:
        return REFERENCE
    return None if row["reason"] else KEPT


def _distance(first: Row | None, other: Row | None) -> str:
    """Tells in how many bits two photos differ: of the nearer hash, and of the finer one."""
    if not first or not other:
        return ""
    phash, dhash, *fine = ((first[name] ^ other[name]).bit_count() for name in HASHES)
    return f", {min(phash, dhash)} / {sum(fine)}"
