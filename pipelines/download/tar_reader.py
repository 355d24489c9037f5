"""Members of a tar, read once from a stream that is not trusted."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO

from pipelines.common.reasons import Reason
from pipelines.common.schema import ID

MAX_NAME = 100  # characters of a bad name that are worth repeating
MAX_EXTENDED = 1 << 20  # bytes of a header that holds a long name or other fields
BLOCK = tarfile.BLOCKSIZE  # 512 bytes: headers and files are padded to it
CHUNK = 1 << 20  # bytes
LONG_NAME, PAX_FIELDS = tarfile.GNUTYPE_LONGNAME, (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
IGNORED_HEADERS = (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE)  # extended headers of no use here
TYPES_WITHOUT_DATA = (
    tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)  # fmt: skip
PLAIN_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
OTHER_FORMATS = {  # how what is no tar begins
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"<?xml": "an XML page",
    b"\x1f\x8b": "a gzip file",
    b"bzh": "a bzip2 file",
    b"\xfd7zxz": "an xz file",
    b"pk\x03\x04": "a zip file",
}


class BadArchive(ValueError):
    """The stream is not a whole tar."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One photo as it lies in its source, or why it cannot be taken.

    Attributes:
      id: 16 hex, or empty where the name holds none.
      data: the file's bytes, or None.
      reason: a Reason where `data` is None.
      detail: what was expected and what came.
    """

    id: str
    data: bytes | None
    reason: Reason | None = None
    detail: str = ""


class Md5Stream:
    """A stream that computes the md5 of what is read through it."""

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.bytes = 0
        self.head = b""

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._md5.update(data)
        self.bytes += len(data)
        self.head = self.head or data[:512]
        return data

    def drain(self) -> str:
        """Reads to the end and returns the md5, 32 hex."""
        while self.read(1 << 20):
            pass
        return self._md5.hexdigest()


def read_members(stream: Md5Stream, max_bytes: int) -> Iterator[Member]:
    """The files of a tar, in its order. Folders are passed over: they are not images.

    A member's name is looked at for its id and never used as a path. Memory is
    bounded by `max_bytes`, whatever the archive says.

    The walk from header to header is our own, and only a header's fields are
    the standard library's to read. Its TarFile takes long names and sparse maps
    of any size into memory, and takes a broken header, or the end of a cut
    file, for the end of the archive.

    Args:
      stream: of a plain tar.
      max_bytes: a larger file is rejected without being read into memory.

    Raises:
      BadArchive: saying what it is instead, where that can be seen.
    """
    try:
        for info, is_sparse in _headers(stream):
            if member := _member(stream, info, is_sparse, max_bytes):
                yield member
    except (tarfile.HeaderError, BadArchive) as error:
        raise BadArchive(_describe(stream.head, error)) from None


def _headers(stream: Md5Stream) -> Iterator[tuple[tarfile.TarInfo, bool]]:
    """Each member's header, with what extended headers before it say, and whether it is sparse.

    The caller reads what follows the header.
    """
    name, fields = "", dict[str, str]()
    while any(block := stream.read(BLOCK)):  # an empty block ends it
        info = _parse_header(block)
        if info.type == LONG_NAME:
            name = _text(_read_extended(stream, info).rstrip(b"\0"))
        elif info.type in PAX_FIELDS:
            fields = _parse_pax(_read_extended(stream, info))
        elif info.type in IGNORED_HEADERS:
            _skip(stream, info.size)
        else:
            info.name = fields.get("path") or name or info.name
            info.size = _parse_size(fields["size"]) if "size" in fields else info.size
            yield info, _is_sparse(stream, info, block, fields)
            name, fields = "", {}
    if len(block) < BLOCK:  # or a file that was cut between two members would look whole
        raise BadArchive(f"it ends at byte {stream.bytes} without the empty block that ends a tar")


def _parse_header(block: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    if info.size < 0:
        raise BadArchive(f"a file of {info.size} bytes")
    return info


def _read_extended(stream: Md5Stream, info: tarfile.TarInfo) -> bytes:
    if info.size > MAX_EXTENDED:
        raise BadArchive(f"a header of {info.size} bytes, over {MAX_EXTENDED}")
    return _read_content(stream, info.size)


def _parse_pax(data: bytes) -> dict[str, str]:
    """The records of a pax header: `<length> <key>=<value>\\n`, one after the other."""
    fields, start = {}, 0
    while start < len(data) and data[start]:
        digits = data[start : start + 8].partition(b" ")[0]
        end = start + (int(digits) if digits.isdigit() else 0)
        key, equals, value = data[start + len(digits) + 1 : end].partition(b"=")
        if not equals or value[-1:] != b"\n" or end > len(data):
            raise BadArchive("a header whose fields cannot be read")
        fields[_text(key)] = _text(value[:-1])
        start = end
    return fields


def _parse_size(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise BadArchive(f"a file of {text[:MAX_NAME]!r} bytes")
    return int(text)


def _is_sparse(stream: Md5Stream, info: tarfile.TarInfo, block: bytes, fields: dict) -> bool:
    """Passes over the rest of a GNU sparse map: 512 bytes at a time, while byte 504 says so."""
    if info.type != tarfile.GNUTYPE_SPARSE:
        return any(key.startswith("GNU.sparse.") for key in fields)
    more = block[482]
    while more:
        more = _read_exactly(stream, BLOCK)[504]
    return True


def _member(
    stream: Md5Stream, info: tarfile.TarInfo, is_sparse: bool, max_bytes: int
) -> Member | None:
    if info.isdir():
        return None
    rejection = _rejection(info, is_sparse, max_bytes)
    if rejection is None:
        return Member(_stem(info.name), _read_content(stream, info.size))
    _skip(stream, 0 if info.type in TYPES_WITHOUT_DATA else info.size)
    return rejection


def _rejection(info: tarfile.TarInfo, is_sparse: bool, max_bytes: int) -> Member | None:
    name, parts = repr(info.name[:MAX_NAME]), info.name.split("/")
    if is_sparse or info.type not in PLAIN_FILES:
        return Member("", None, Reason.BAD_NAME, f"{name} is no plain file")
    if not parts[0] or ".." in parts:
        return Member("", None, Reason.BAD_NAME, f"{name} leads out of the archive")
    if not ID.match(_stem(info.name)):
        return Member("", None, Reason.BAD_NAME, f"expected a/b/c/<16 hex>.jpg, found {name}")
    if info.size > max_bytes:
        detail = f"{info.size} bytes, over {max_bytes}"
        return Member(_stem(info.name), None, Reason.TOO_LARGE, detail)
    return None


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _read_content(stream: Md5Stream, size: int) -> bytes:
    """The next `size` bytes, and past the padding behind them."""
    data = _read_exactly(stream, size)
    _read_exactly(stream, -size % BLOCK)
    return data


def _skip(stream: Md5Stream, size: int) -> None:
    left = size + -size % BLOCK
    while left:
        left -= len(_read_exactly(stream, min(left, CHUNK)))


def _read_exactly(stream: Md5Stream, size: int) -> bytes:
    data = stream.read(size) if size else b""
    if len(data) != size:
        raise BadArchive(f"it ends at byte {stream.bytes}, inside a file or its header")
    return data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _describe(head: bytes, error: Exception) -> str:
    start = head.lstrip()[:100].lower()
    for beginning, name in OTHER_FORMATS.items():
        if start.startswith(beginning):
            return f"expected a tar, found {name}"
    return f"expected a whole tar; {error}" if head else "expected a tar, found 0 bytes"
