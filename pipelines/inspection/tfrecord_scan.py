"""Reads frames of a TFRecord file that may be damaged: all, or one after an offset. No Beam."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import IO

from pipelines.storage import filesystem, tfrecord
from pipelines.storage.tfrecord import HEADER, OVERHEAD, Corrupt

BLOCK = 1 << 16  # bytes searched at a time
ZEROS = re.compile(rb"\0{4,}")  # each length below 4 GB has four of them in its upper half


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame of a TFRecord file, or the bytes in its place where it is damaged.

    Attributes:
      number: of the record in its file, from 0.
      offset: of the frame in the file, bytes.
      end: offset of the next frame, bytes.
      record: the data; None where the frame is damaged.
      damage: what was expected and what was found; empty where nothing is damaged.
      is_bounded: whether the CRC of its length is right, so that `end` is sure.
    """

    number: int
    offset: int
    end: int
    record: bytes | None
    damage: str = ""
    is_bounded: bool = True


def scan(file: IO[bytes], size: int) -> Iterator[Frame]:
    """Yields every frame of a file in order, damaged ones too.

    After a length whose CRC is wrong, the next frame is searched for, and all bytes up to it
    count as one frame.

    Args:
      file: open for reading, and seekable.
      size: of the file, bytes.
    """
    number = offset = 0
    while offset < size:
        frame = _at(file, number, offset, size)
        yield frame
        number, offset = number + 1, frame.end


def first_after(path: str, share: float) -> Frame | None:
    """Returns the first frame that begins after a share of a file, or else the file's first frame.

    Little more than that frame is read. The result is None where that frame is damaged, or where
    the file has none.
    """
    size = filesystem.size(path)
    with filesystem.open_ranges(path) as file:
        offset = find(file, int(size * share), size)
        if offset == size:
            offset = find(file, 0, size)
        frame = _at(file, 0, offset, size) if offset < size else None
    return frame if frame and frame.record is not None else None


def find(file: IO[bytes], start: int, size: int) -> int:
    """Returns the offset of the first frame at or after `start`, by the CRC of its length.

    Args:
      file: open for reading, and seekable.
      start: offset to search from, bytes.
      size: of the file, bytes; returned where there is no frame.
    """
    file.seek(start)
    window = b""
    while block := file.read(BLOCK):
        base = file.tell() - len(block) - len(window)
        window += block
        for at in _headers(window):
            if base + at + OVERHEAD + tfrecord.length_of(window[at : at + HEADER.size]) <= size:
                return base + at
        window = window[1 - HEADER.size :]  # the start of a header may be there
    return size


def _headers(window: bytes) -> Iterator[int]:
    """Yields offsets where a length has the right CRC; its upper half begins a run of zeros."""
    for run in ZEROS.finditer(window):
        for upper in range(max(run.start(), 4), min(run.start() + 4, run.end() - 3)):
            try:
                tfrecord.length_of(window[upper - 4 : upper + 8])
                yield upper - 4
            except Corrupt:
                pass


def _at(file: IO[bytes], number: int, offset: int, size: int) -> Frame:
    """Reads the frame at an offset."""
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
