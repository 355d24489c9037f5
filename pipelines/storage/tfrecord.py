"""Frames and unframes records of TFRecord files: length, its CRC, record, its CRC.

It is written here rather than taken from TensorFlow, because facts hold the location of
each frame, shards read frames by ranged reads, and workers that copy bytes are spared 500 MB
of TensorFlow. Format: tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

import google_crc32c

HEADER = struct.Struct("<QI")  # length, masked CRC of the length
FOOTER = struct.Struct("<I")  # masked CRC of the record
OVERHEAD = HEADER.size + FOOTER.size


class Corrupt(ValueError):
    """A frame is truncated, or a CRC does not match its bytes."""


def frame(record: bytes) -> bytes:
    """Returns the frame of a record, as in a TFRecord file."""
    length = struct.pack("<Q", len(record))
    header = HEADER.pack(len(record), _masked_crc(length))
    return b"".join((header, record, FOOTER.pack(_masked_crc(record))))


def unframe(data: bytes) -> bytes:
    """Returns the record of one whole frame.

    Raises:
      Corrupt: the frame is truncated, or a CRC does not match.
    """
    if len(data) < OVERHEAD:
        raise Corrupt(f"expected a frame of at least {OVERHEAD} bytes, found {len(data)}")
    length, crc = HEADER.unpack_from(data)
    if crc != _masked_crc(data[:8]) or length != len(data) - OVERHEAD:
        raise Corrupt(f"expected a frame of {len(data)} bytes, found one that says {length}")
    record = data[HEADER.size : -FOOTER.size]
    (crc,) = FOOTER.unpack_from(data, HEADER.size + length)
    if crc != _masked_crc(record):
        raise Corrupt("the record does not fit its CRC")
    return record


def read(file: IO[bytes]) -> Iterator[bytes]:
    """Yields the records of a TFRecord file, in order."""
    while head := file.read(HEADER.size):
        yield unframe(head + file.read(length_of(head) + FOOTER.size))


def length_of(head: bytes) -> int:
    """Returns the length of a record in bytes from the first HEADER.size bytes of its frame.

    Raises:
      Corrupt: the CRC of the length does not match, so that no memory is allocated for it.
    """
    if len(head) < HEADER.size:
        raise Corrupt("the file ends inside a frame")
    length, crc = HEADER.unpack(head)
    if crc != _masked_crc(head[:8]):
        raise Corrupt("a frame's length does not fit its CRC")
    return length


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
