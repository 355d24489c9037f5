"""Formats tables as text, in Markdown and for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Rows = Iterable[Sequence[object]]


def markdown(head: Sequence[str], rows: Rows, padded: bool = False) -> list[str]:
    """Returns the lines of a Markdown table.

    Args:
      head: titles of the columns.
      rows: a cell for each column.
      padded: whether cells are padded to the width of their column, for readers of the source.
    """
    cells = _cells([head, *rows])
    widths = _widths(cells) if padded else [0] * len(head)
    cells.insert(1, ["-" * (width or 3) for width in widths])
    return [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in cells]


def plain(rows: Rows, align: str) -> list[str]:
    """Returns the lines of a table for a terminal, with two spaces between columns.

    Args:
      rows: a cell for each column; titles, where there are any, are the first row.
      align: '<' or '>' for each column.
    """
    cells = _cells(rows)
    columns = zip(align, _widths(cells), strict=True)
    form = "  ".join(f"{{:{side}{width}}}" for side, width in columns)
    return [form.format(*row).rstrip() for row in cells]


def _cells(rows: Rows) -> list[list[str]]:
    return [list(map(str, row)) for row in rows]


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*cells, strict=True)]
