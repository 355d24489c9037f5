"""Shows a submission's worst errors: the wrong predictions that rank highest, with photos."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from pipelines.common import paths, schema
from pipelines.common.errors import UserError
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.imaging import contact_sheet, normalize
from pipelines.storage import filesystem, photo_records, staged_photos

SPLIT = "test"
WIDTH = 24  # characters of a line
EACH = 3 * contact_sheet.COLUMNS  # photos of each kind of error
WRONG, NOTHING = "#c0392b", "#d97706"  # frames of photos of another landmark, of no landmark


def worst(made: pd.DataFrame, number: int = EACH) -> pd.DataFrame:
    """Returns the first wrong predictions: of photos of another landmark, and of no landmark.

    Args:
      made: predictions in rank order, with the columns of metrics.join.
      number: at most so many rows of either kind.
    """
    wrong = made[~made["correct"]]
    return wrong.groupby("labelled", sort=False).head(number)


def picture(mistakes: pd.DataFrame, place: str) -> bytes:
    """Draws a contact sheet as JPEG: photos of another landmark, then photos of no landmark.

    Raises:
      UserError: none of the photos is at `place`.
    """
    found = photos(place, set(mistakes["id"]))
    groups = [mistakes[mistakes["labelled"]], mistakes[~mistakes["labelled"]]]
    return contact_sheet.draw(
        [
            [_tile(row, found.get(row.id)) for row in group.itertuples()]
            for group in groups
            if len(group)
        ]
    )


def _tile(row, photo: bytes | None) -> contact_sheet.Tile:
    truth = f"shows {row.landmarks}"[:WIDTH] if row.labelled else "shows no landmark"
    lines = (row.id, f"said {row.landmark_id} at {row.score:.4g}", truth)
    return contact_sheet.Tile(_thumbnail(photo), lines, WRONG if row.labelled else NOTHING)


def _thumbnail(photo: bytes | None) -> bytes | None:
    """Returns a photo, which may have its published size, as a small JPEG.

    None where there is no photo, or it cannot be read.
    """
    if photo is None:
        return None
    try:
        return normalize.normalize(photo, NormalizationConfig(contact_sheet.CELL)).jpeg
    except normalize.Unreadable:
        return None


# ---- reading the photos ---------------------------------------------------------------------


def photos(place: str, ids: Collection[str]) -> dict[str, bytes]:
    """Reads test photos; returns those that are found, by id.

    Args:
      place: OUT of gld2 prepare, a dataset folder or a pattern of TFRecords, or a folder of
        photos in Kaggle's layout.
      ids: of the photos.

    Raises:
      UserError: none is found.
    """
    if found := _loose(place, ids) or _staged(Output(place), ids) or _records(place, ids):
        return found
    raise UserError(f"--images {place}: found none of the {len(ids)} photos to show there")


def _loose(place: str, ids: Collection[str]) -> dict[str, bytes]:
    found = {}
    for image_id in sorted(filter(schema.ID.match, ids)):
        deep = paths.photo(SPLIT, image_id)
        for name in (deep, deep.removeprefix(f"{SPLIT}/"), f"{image_id}.jpg"):
            path = paths.join(place, name)
            if image_id not in found and filesystem.exists(path):
                found[image_id] = filesystem.read(path)
    return found


def _staged(output: Output, ids: Collection[str]) -> dict[str, bytes]:
    """Reads staged photos at the offsets in their facts; no other photo is read."""
    facts = staged_photos.look_up(ids, [], filesystem.match(output.facts(f"{SPLIT}-*"))).facts
    rows = {name: places[0] for name, places in facts.items()}
    return dict(zip(rows, staged_photos.read_jpegs(rows.values(), output), strict=True))


def _records(place: str, ids: Collection[str]) -> dict[str, bytes]:
    """Reads records from the start until all photos are found."""
    found: dict[str, bytes] = {}
    for path in photo_records.find(place, SPLIT):
        for image_id, jpeg in photo_records.read(path):
            if image_id in ids:
                found[image_id] = jpeg
            if len(found) == len(ids):
                return found
    return found
