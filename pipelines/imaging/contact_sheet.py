"""Draws contact sheets: groups of photos on one picture, each with text below it. No Beam."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw, ImageFont

COLUMNS = 6
CELL = 160  # pixels: width of a tile, and height of the part with its photo
MARGIN = 6  # pixels around a photo, and between panels
LINE = 15  # pixels: height of a line of text
LINES = 3  # of text below a photo
HEIGHT = CELL + LINES * LINE + 2 * MARGIN
FONT = 12  # pixels
PANEL, TEXT = "#eef1f4", "#222222"


@dataclasses.dataclass(frozen=True)
class Tile:
    """One photo of a contact sheet.

    Attributes:
      jpeg: the encoded photo, or None for a tile with text alone.
      lines: of text below it, at most LINES.
      frame: the colour of the photo's frame, or None.
    """

    jpeg: bytes | None
    lines: tuple[str, ...]
    frame: str | None = None


def draw(groups: Sequence[Sequence[Tile]], columns: int = COLUMNS) -> bytes:
    """Returns a contact sheet as JPEG, each group on a panel of its own.

    Groups are laid out from left to right, then down. A group that does not fit into the
    rest of a row begins on the next one.
    """
    starts = list(_starts([len(group) for group in groups], columns))
    rows = -(-(starts[-1] + len(groups[-1])) // columns)
    sheet = Image.new("RGB", (columns * CELL, rows * HEIGHT), "white")
    for start, group in zip(starts, groups, strict=True):
        cells = range(start, start + len(group))
        corners = [(cell % columns * CELL, cell // columns * HEIGHT) for cell in cells]
        _panel(sheet, corners)
        for corner, tile in zip(corners, group, strict=True):
            _tile(sheet, *corner, tile)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return out.getvalue()


def _starts(sizes: Sequence[int], columns: int) -> Iterator[int]:
    """Yields the index of each group's first cell."""
    cell = 0
    for size in sizes:
        if cell % columns + size > columns:
            cell += -cell % columns
        yield cell
        cell += size


def _panel(sheet: Image.Image, corners: Sequence[tuple[int, int]]) -> None:
    """Draws the background of a group, over all its rows, with gaps only between groups."""
    pen, gap = ImageDraw.Draw(sheet), MARGIN // 2
    tops = sorted({top for _, top in corners})
    for top in tops:
        lefts = [left for left, other in corners if other == top]
        left, right = min(lefts) + gap, max(lefts) + CELL - gap
        upper = top + gap * (top == tops[0])
        lower = top + HEIGHT - gap * (top == tops[-1])
        pen.rectangle((left, upper, right - 1, lower - 1), PANEL)


def _tile(sheet: Image.Image, left: int, top: int, tile: Tile) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    if tile.jpeg is not None:
        photo = _thumbnail(tile.jpeg)
        x, y = left + (CELL - photo.width) // 2, top + CELL - photo.height
        if tile.frame:
            edges = (x - 3, y - 3, x + photo.width + 2, y + photo.height + 2)
            pen.rectangle(edges, outline=tile.frame, width=3)
        sheet.paste(photo, (x, y))
    for number, line in enumerate(tile.lines):
        pen.text((left + 2 * MARGIN, top + MARGIN + CELL + number * LINE), line, TEXT, font)


def _thumbnail(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    image.thumbnail((CELL - 4 * MARGIN, CELL - 4 * MARGIN))
    return image.convert("RGB")
