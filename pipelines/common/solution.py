"""Parses Kaggle's solution file: the landmarks of each test photo, and its part of the test."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Set

import numpy as np

from pipelines.common.errors import UserError

HEADER = ("id", "landmarks", "Usage")
PUBLIC, PRIVATE, IGNORED = USAGES = ("Public", "Private", "Ignored")
SHOWN = 100  # characters of a faulty cell that a message quotes

_LANDMARKS = re.compile(r"([0-9]{1,18}( [0-9]{1,18})*)?")  # of 64 bits each
_QUOTED = re.compile(r'\A"([^"]*)"\Z')

_Fault = tuple[int, str, str]  # number of a row, what was expected, what was found


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """The rows of a solution file, in its order.

    Attributes:
      ids: [queries] str, each once.
      landmarks: [queries] str, space-separated integers, or '' where a photo shows none.
      usages: [queries] str, each one of USAGES.
    """

    ids: np.ndarray
    landmarks: np.ndarray
    usages: np.ndarray


def parse(text: str, name: str = "solution") -> Solution:
    """Parses the text of a solution file.

    No cell holds a line break, so a row is a line, and a stray quote affects only its own row.
    Blank lines are skipped, but counted as rows. Cells are checked column by column: a call for
    each of the hundred thousand rows would take most of a second.

    Args:
      text: the file's content; bytes that are not UTF-8 are decoded with `surrogateescape`.
      name: of the file in error messages.

    Raises:
      UserError: the header, a cell or a usage is wrong, or an id is repeated; it names the first
        such row.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\r").split("\n")
    rows = {number: line for number, line in enumerate(lines, start=1) if line}
    header = rows.pop(next(iter(rows), 0), "")
    malformed = dict(_malformed_rows(rows))
    for number in malformed:
        del rows[number]
    cells = ",".join(rows.values()).split(",") if rows else []
    columns = [_unquoted(cells[place :: len(HEADER)]) for place in range(len(HEADER))]
    faults = [*_header_faults(header), *malformed.values(), *_cell_faults(list(rows), *columns)]
    if faults:
        (row, expected, found), also = min(faults, key=lambda fault: fault[0]), len(faults) - 1
        more = f"; and {also} more faults" if also else ""
        raise UserError(f"{name} row {row}: expected {expected}, found {found}{more}")
    return Solution(*(np.array(column, object) for column in columns))


def truth(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits cells of landmarks into pairs of a query and a landmark.

    Args:
      landmarks: [queries] str, as in a Solution.

    Returns:
      Two arrays [landmarks] int64: the index of a query, and a landmark that it shows.
    """
    several = [(place, cell.split()) for place, cell in enumerate(landmarks) if cell]
    pairs = [(place, int(word)) for place, words in several for word in words]
    places, values = np.array(pairs, np.int64).reshape(-1, 2).T
    return places, values


def _unquoted(cells: list[str]) -> list[str]:
    return [_QUOTED.sub(r"\1", cell) if '"' in cell else cell for cell in cells]


# ---- faults ---------------------------------------------------------------------------------


def _header_faults(line: str) -> Iterator[_Fault]:
    expected, found = ",".join(HEADER), line.replace('"', "")
    if found != expected:
        yield 1, f"the header {expected}", _quote(found)[1:-1] if line else "an empty file"


def _malformed_rows(rows: Mapping[int, str]) -> Iterator[tuple[int, _Fault]]:
    """Yields row number and fault of rows that are not UTF-8 or have a wrong number of cells."""
    commas = len(HEADER) - 1
    for number, line in rows.items():
        if line.count(",") != commas or not line.isascii():
            if not _is_utf8(line):
                yield number, (number, "UTF-8", _quote(line))
            elif line.count(",") != commas:
                yield number, (number, f"{len(HEADER)} cells", _quote(line))


def _is_utf8(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _cell_faults(
    numbers: list[int], ids: list[str], landmarks: list[str], usages: list[str]
) -> Iterator[_Fault]:
    if len(set(ids)) < len(ids):
        first = dict(zip(reversed(ids), reversed(numbers), strict=True))
        again = (pair for pair in zip(numbers, ids, strict=True) if first[pair[1]] != pair[0])
        yield from ((number, "each id once", _quote(cell)) for number, cell in again)
    wrong = {cell for cell in set(landmarks) if not _LANDMARKS.fullmatch(cell)}
    yield from _faulty_cells(numbers, landmarks, wrong, "space-separated integers or nothing")
    yield from _faulty_cells(numbers, usages, set(usages) - set(USAGES), " or ".join(USAGES))


def _faulty_cells(
    numbers: list[int], cells: list[str], wrong: Set[str], expected: str
) -> Iterator[_Fault]:
    """Yields a fault for each row whose cell is among the wrong ones."""
    if wrong:
        for number, cell in zip(numbers, cells, strict=True):
            if cell in wrong:
                yield number, expected, _quote(cell)


def _quote(found: str) -> str:
    return repr(found.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:SHOWN])
