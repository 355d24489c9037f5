"""Reads CSVs of ids and numbers as columns; bad rows are reported and left out. No Beam.

Neither ids nor landmarks contain a comma or a line break, so each line is a row, and a stray quote
affects no other line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.storage import streams

BLOCK = 8 << 20  # bytes read at a time
MAX_BYTES = 256 << 20  # of a file: twice that of a row for each of GLDv2's four million photos
EXAMPLES = 5  # rows that are listed of each fault
SHOWN = 100  # characters of a cell that are printed
NOT_UTF8, CELLS = LEFT_OUT = ("not UTF-8", "cells")  # kinds of faults whose rows are left out
BOM = b"\xef\xbb\xbf"


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault that some rows have.

    Attributes:
      kind: in a word or two.
      expected: what a good row has.
      count: number of rows.
      examples: row numbers of the first few, from 1 for the header, and what was found there.
      is_error: whether it is an error; otherwise it is a warning.
    """

    kind: str
    expected: str
    count: int
    examples: tuple[tuple[int, str], ...]
    is_error: bool = True


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a file that have as many cells as the expected header.

    Attributes:
      numbers: [rows] int64, the number of each row in the file; the header is row 1.
      columns: one array [rows] string for each column.
      faults: of the header, and of the rows that were left out.
    """

    numbers: np.ndarray
    columns: list[pa.Array]
    faults: list[Fault]


def find(
    kind: str, expected: str, wrong: pa.Array | np.ndarray, numbers: np.ndarray, cells: pa.Array
) -> list[Fault]:
    """Returns a list of one fault for all wrong rows; an empty list where no row is wrong.

    Args:
      kind: of the fault, in a word or two.
      expected: what a good row has.
      wrong: [rows] bool, which rows have the fault.
      numbers: [rows] int64, the number of each row in the file.
      cells: [rows], the cells to print as examples.
    """
    rows = np.flatnonzero(np.asarray(wrong))
    found = tuple((int(numbers[i]), _excerpt(cells[int(i)].as_py())) for i in rows[:EXAMPLES])
    return [Fault(kind, expected, len(rows), found)] if found else []


def read(path: str, header: Sequence[str]) -> Rows:
    """Reads a file; skips blank lines but counts them, so that row numbers are line numbers.

    Raises:
      UserError: the file cannot be read at all.
    """
    with streams.open_input(path) as stream:
        blocks = [_Lines(), *_blocks(stream)]
    numbers = np.concatenate([block.numbers for block in blocks])
    lines = pa.concat_arrays([block.lines for block in blocks])
    faults = [fault for block in blocks for fault in block.faults]
    faults += _check_header(lines[0].as_py() if len(lines) else b"", header)
    return _split(numbers[1:], lines[1:], len(header), faults)


@dataclasses.dataclass(frozen=True)
class _Lines:
    """The lines of a block that are not blank.

    Attributes:
      numbers: [lines] int64, the number of each line in the file.
      lines: [lines] binary.
      faults: of the block.
    """

    numbers: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    lines: pa.Array = dataclasses.field(default_factory=lambda: pa.array([], pa.binary()))
    faults: tuple[Fault, ...] = ()


def _blocks(stream: IO[bytes]) -> Iterator[_Lines]:
    read, number, rest = 0, 1, b""
    while data := stream.read(BLOCK):
        if read == 0:
            data = data.removeprefix(BOM)
        read += len(data)
        if read > MAX_BYTES:
            large = Fault("too large", f"at most {MAX_BYTES:,} bytes", 1, ((number, "more"),))
            yield _Lines(faults=(large,))
            return
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if newline:
            yield _lines(whole, number)
            number += whole.count(b"\n") + 1
    yield _lines(rest, number)


def _lines(data: bytes, first: int) -> _Lines:
    """Splits a block into lines, numbered from `first`."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
    lines = pc.split_pattern(pa.array([data], pa.binary()), "\n").values
    filled = pc.greater(pc.binary_length(lines), 0)
    numbers = np.arange(first, first + len(lines))[np.asarray(filled)]
    return _Lines(numbers, lines.filter(filled))


def _check_header(line: bytes, header: Sequence[str]) -> list[Fault]:
    expected = ",".join(header)
    found = line.decode("utf-8", "replace").replace('"', "")
    if found == expected:
        return []
    excerpt = _excerpt(found) if line else "an empty file"
    return [Fault("header", f"the header {expected}", 1, ((1, excerpt),))]


def _split(numbers: np.ndarray, lines: pa.Array, width: int, faults: list[Fault]) -> Rows:
    commas = np.asarray(pc.count_substring(lines, ","))
    foreign = _not_utf8(lines)
    faults += find(NOT_UTF8, "UTF-8", foreign, numbers, lines)
    ragged = (commas != width - 1) & ~foreign
    faults += find(CELLS, f"{width} cells", ragged, numbers, lines)
    good = ~(ragged | foreign)
    text = lines.filter(pa.array(good)).cast(pa.string())
    cells = pc.split_pattern(text, ",").values
    columns = [cells.take(pa.array(np.arange(n, len(cells), width))) for n in range(width)]
    return Rows(numbers[good], [_unquoted(column) for column in columns], faults)


def _not_utf8(lines: pa.Array) -> np.ndarray:
    """Marks lines that are not UTF-8, [lines] bool; decodes only lines that are not ASCII."""
    wrong = np.asarray(pc.match_substring_regex(lines, r"[\x80-\xff]")).copy()
    for row in np.flatnonzero(wrong):
        wrong[row] = not _is_utf8(lines[int(row)].as_py())
    return wrong


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unquoted(cells: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring(cells, '"')).as_py():
        return cells
    return pc.replace_substring_regex(cells, r'^"([^"]*)"$', r"\1")


def _excerpt(found: str | bytes) -> str:
    text = found if isinstance(found, str) else found.decode("utf-8", "replace")
    return repr(text[:SHOWN])
