"""Records fetched from staged files by place: near ones in one read, many reads at a time."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Iterator

from pipelines.common.errors import UserError
from pipelines.storage import filesystem, tfrecord

GAP = 64 << 10  # bytes that are cheaper read and thrown away than skipped by a new read
LONGEST = 16 << 20  # bytes of one read
READERS = 8  # files read at a time


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """Where a frame lies.

    Attributes:
      unit: of the staged file.
      offset: bytes.
      length: bytes of the whole frame.
      index: of the record among those that are wanted.
    """

    unit: str
    offset: int
    length: int
    index: int


def gather(places: Iterable[Place], path: Callable[[str], str]) -> list[bytes]:
    """Reads frames, each checked against its CRC.

    Args:
      places: of the frames, each with another index from 0.
      path: unit -> its staged file.

    Returns:
      the records by index.

    Raises:
      UserError: a staged file is missing, or is not the one that facts describe.
    """
    wanted = sorted(places)
    records: list[bytes] = [b""] * len(wanted)
    units: dict[str, list[Place]] = {}
    for place in wanted:
        units.setdefault(place.unit, []).append(place)
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        for found in pool.map(lambda unit: _read(path(unit), units[unit]), units):
            for index, record in found:
                records[index] = record
    return records


def _read(path: str, places: list[Place]) -> list[tuple[int, bytes]]:
    found = []
    with filesystem.open_ranges(path) as file:
        for run in _runs(places):
            start = run[0].offset
            file.seek(start)
            data = memoryview(file.read(run[-1].offset + run[-1].length - start))
            for place in run:
                part = bytes(data[place.offset - start : place.offset - start + place.length])
                found.append((place.index, _record(path, place, part)))
    return found


def _runs(places: list[Place]) -> Iterator[list[Place]]:
    run: list[Place] = []
    for place in places:
        if run:
            gap = place.offset - run[-1].offset - run[-1].length
            if gap > GAP or place.offset + place.length - run[0].offset > LONGEST:
                yield run
                run = []
        run.append(place)
    yield run


def _record(path: str, place: Place, data: bytes) -> bytes:
    try:
        return tfrecord.unframe(data)
    except tfrecord.Corrupt as error:
        raise UserError(
            f"{path} byte {place.offset}: {error}; remove {path} and its done.json, "
            "then run gld2 download again"
        ) from None
