"""The TFRecord framing: length, its CRC, the record, its CRC.

Our own dozen lines, because facts need the place of each frame, shards gather
frames by ranged reads, and workers that move bytes need no 500 MB TensorFlow.
Format: tensorflow/core/lib/io/record_writer.h.
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
    """A frame that is cut short or whose CRC does not fit its bytes."""


def frame(record: bytes) -> bytes:
    """The bytes that stand for one record in a TFRecord file."""
    length = struct.pack("<Q", len(record))
    header = HEADER.pack(len(record), _masked_crc(length))
    return b"".join((header, record, FOOTER.pack(_masked_crc(record))))


def unframe(data: bytes) -> bytes:
    """The record in one whole frame.

    Raises:
      Corrupt: naming what was expected and what came.
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
    """The records of a whole TFRecord file, in order."""
    while head := file.read(HEADER.size):
        yield unframe(head + file.read(length_of(head) + FOOTER.size))


def length_of(head: bytes) -> int:
    """Bytes of the record whose frame begins with these HEADER.size bytes.

    Raises:
      Corrupt: before a garbled length is believed and allocated.
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
