"""The frames of a TFRecord file that may be damaged, or of which a few are wanted. No Beam."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import IO

from pipelines.storage import filesystem, tfrecord
from pipelines.storage.tfrecord import HEADER, OVERHEAD, Corrupt

BLOCK = 1 << 16  # bytes searched at a time
ZEROS = re.compile(rb"\0{4,}")  # the upper half of every length below 4 GB


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame, or bytes that should be one.

    Attributes:
      number: of the record in its file, from 0.
      offset: bytes.
      end: where the next frame begins, bytes.
      record: None where it is damaged.
      damage: what was expected and what came; empty where nothing is damaged.
      is_bounded: whether its length can be believed.
    """

    number: int
    offset: int
    end: int
    record: bytes | None
    damage: str = ""
    is_bounded: bool = True


def scan(file: IO[bytes], size: int) -> Iterator[Frame]:
    """Every frame of a file in order, damaged ones too.

    Behind a length that cannot be believed, the next frame is searched for, and all that lies
    between counts as one.

    Args:
      file: that can seek.
      size: of the file, bytes.
    """
    number = offset = 0
    while offset < size:
        frame = _at(file, number, offset, size)
        yield frame
        number, offset = number + 1, frame.end


def near(path: str, share: float) -> Frame | None:
    """The first whole frame behind some share of a file, or else the file's first one.

    Little more than that frame is read.
    """
    size = filesystem.size(path)
    with filesystem.open_ranges(path) as file:
        offset = find(file, int(size * share), size)
        if offset == size:
            offset = find(file, 0, size)
        frame = _at(file, 0, offset, size) if offset < size else None
    return frame if frame and frame.record is not None else None


def find(file: IO[bytes], start: int, size: int) -> int:
    """Where the first frame at or behind `start` begins, as its length's CRC tells; else `size`."""
    file.seek(start)
    window = b""
    while block := file.read(BLOCK):
        base = file.tell() - len(block) - len(window)
        window += block
        for at in _headers(window):
            if base + at + OVERHEAD + tfrecord.length_of(window[at : at + HEADER.size]) <= size:
                return base + at
        window = window[1 - HEADER.size :]  # where a header may have begun
    return size


def _headers(window: bytes) -> Iterator[int]:
    """Where a frame may begin. A length is not zero, so its upper half is at a run's start."""
    for run in ZEROS.finditer(window):
        for upper in range(max(run.start(), 4), min(run.start() + 4, run.end() - 3)):
            try:
                tfrecord.length_of(window[upper - 4 : upper + 8])
                yield upper - 4
            except Corrupt:
                pass


def _at(file: IO[bytes], number: int, offset: int, size: int) -> Frame:
    file.seek(offset)
    head = file.read(HEADER.size)
    try:
        end = offset + OVERHEAD + tfrecord.length_of(head)
    except Corrupt as error:
        return Frame(number, offset, find(file, offset + 1, size), None, str(error), False)
    if end > size:
        damage = f"expected a frame of {end - offset} bytes, the file ends after {size - offset}"
        return Frame(number, offset, find(file, offset + 1, size), None, damage, False)
    try:
        data = head + file.read(end - offset - HEADER.size)
        return Frame(number, offset, end, tfrecord.unframe(data))
    except Corrupt as error:
        return Frame(number, offset, end, None, str(error))
