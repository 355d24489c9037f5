"""Reads records from staged files by location: merges near reads, reads files in parallel."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Iterator

from pipelines.common.errors import UserError
from pipelines.storage import filesystem, tfrecord

GAP = 64 << 10  # bytes between two frames up to which one read is cheaper than two
LONGEST = 16 << 20  # bytes; the bound of a merged read
READERS = 8  # files read in parallel


@dataclasses.dataclass(frozen=True, order=True)
class RecordLocation:
    """The location of a record's frame in a staged file.

    Attributes:
      unit: the unit of the file.
      offset: of the frame in the file, in bytes.
      length: of the whole frame, in bytes.
      index: of the record in the result of `gather`.
    """

    unit: str
    offset: int
    length: int
    index: int


def locations(rows: Iterable[tuple[str, int, int]]) -> list[RecordLocation]:
    """Returns the locations of records in the order of the rows, each (unit, offset, length)."""
    return [
        RecordLocation(str(unit), int(offset), int(length), index)
        for index, (unit, offset, length) in enumerate(rows)
    ]


def gather(locations: Iterable[RecordLocation], path: Callable[[str], str]) -> list[bytes]:
    """Reads records and checks their CRCs.

    Args:
      locations: of the records' frames; their indices are 0, 1, 2, ... in any order.
      path: unit -> path of its staged file.

    Returns:
      The records in the order of their indices.

    Raises:
      UserError: a staged file is missing, or does not match its facts.
    """
    wanted = sorted(locations)
    records: list[bytes] = [b""] * len(wanted)
    units: dict[str, list[RecordLocation]] = {}
    for location in wanted:
        units.setdefault(location.unit, []).append(location)
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        for found in pool.map(lambda unit: _read(path(unit), units[unit]), units):
            for index, record in found:
                records[index] = record
    return records


def _read(path: str, locations: list[RecordLocation]) -> list[tuple[int, bytes]]:
    found = []
    with filesystem.open_ranges(path) as file:
        for group in _merged(locations):
            start = group[0].offset
            file.seek(start)
            data = memoryview(file.read(group[-1].offset + group[-1].length - start))
            for location in group:
                first = location.offset - start
                part = bytes(data[first : first + location.length])
                found.append((location.index, _record(path, location, part)))
    return found


def _merged(locations: list[RecordLocation]) -> Iterator[list[RecordLocation]]:
    group: list[RecordLocation] = []
    for location in locations:
        if group:
            gap = location.offset - group[-1].offset - group[-1].length
            if gap > GAP or location.offset + location.length - group[0].offset > LONGEST:
                yield group
                group = []
        group.append(location)
    yield group


def _record(path: str, location: RecordLocation, data: bytes) -> bytes:
    try:
        return tfrecord.unframe(data)
    except tfrecord.Corrupt as error:
        raise UserError(
            f"{path} byte {location.offset}: {error}; remove {path} and its done.json, "
            "then run gld2 download again"
        ) from None
