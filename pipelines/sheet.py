"""Contact sheets: many photos on one picture, each with a line of text below. No Beam."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

CELL = 160  # pixels of a photo's longest side
TEXT = 16  # pixels below it
COLUMNS = 6


@dataclasses.dataclass(frozen=True)
class Tile:
    """One photo of a sheet.

    Attributes:
      jpeg: the encoded photo, or None where there is none to show.
      caption: a short line.
    """

    jpeg: bytes | None
    caption: str


def draw(tiles: Sequence[Tile], columns: int = COLUMNS) -> bytes:
    """A sheet as JPEG, tiles from left to right, then down."""
    rows = max(1, -(-len(tiles) // columns))
    sheet = Image.new("RGB", (columns * CELL, rows * (CELL + TEXT)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, tile in enumerate(tiles):
        left, top = index % columns * CELL, index // columns * (CELL + TEXT)
        if tile.jpeg is not None:
            photo = _thumbnail(tile.jpeg)
            sheet.paste(photo, (left + (CELL - photo.width) // 2, top + CELL - photo.height))
        pen.text((left + 3, top + CELL + 1), tile.caption[:26], "black", font)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return out.getvalue()


def _thumbnail(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    image.thumbnail((CELL - 6, CELL - 6))
    return image.convert("RGB")
