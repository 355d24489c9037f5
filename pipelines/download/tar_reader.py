"""Reads the members of a tar from an untrusted stream, in one pass."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO

from pipelines.common.reasons import Reason
from pipelines.common.schema import ID

MAX_NAME = 100  # characters of a bad name in a message
MAX_EXTENDED = 1 << 20  # bytes of an extended header (long name, pax fields)
BLOCK = tarfile.BLOCKSIZE  # 512 bytes; headers and files are padded to a multiple
CHUNK = 1 << 20  # bytes
LONG_NAME, PAX_FIELDS = tarfile.GNUTYPE_LONGNAME, (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
IGNORED_HEADERS = (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE)  # extended headers that are skipped
TYPES_WITHOUT_DATA = (
    tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)  # fmt: skip
PLAIN_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
OTHER_FORMATS = {  # first bytes, in lower case -> what the file is instead
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"<?xml": "an XML page",
    b"\x1f\x8b": "a gzip file",
    b"bzh": "a bzip2 file",
    b"\xfd7zxz": "an xz file",
    b"pk\x03\x04": "a zip file",
}


class BadArchive(ValueError):
    """The stream is not a complete tar."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One file of a source: its bytes, or the reason why it is rejected.

    Attributes:
      id: the image's id, 16 hex digits; empty where the file's name holds none.
      data: the file's bytes, or None where it is rejected.
      reason: why it is rejected, or None.
      detail: what was expected and what was found, where it is rejected.
    """

    id: str
    data: bytes | None
    reason: Reason | None = None
    detail: str = ""


class Md5Stream:
    """A stream that computes the md5 of the bytes read through it.

    Attributes:
      bytes: number of bytes read.
      head: up to 512 of the first bytes.
    """

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.bytes = 0
        self.head = b""

    def read(self, size: int) -> bytes:
        """Returns up to `size` of the next bytes; none at the end."""
        data = self._stream.read(size)
        self._md5.update(data)
        self.bytes += len(data)
        self.head = self.head or data[:512]
        return data

    def drain(self) -> str:
        """Reads to the end; returns the md5 of the whole stream, 32 hex digits."""
        while self.read(1 << 20):
            pass
        return self._md5.hexdigest()


def read_members(stream: Md5Stream, max_bytes: int) -> Iterator[Member]:
    """Yields the files of a tar, in the tar's order, without its folders.

    A member's name is searched for an id and never used as a path. Memory is bounded by
    `max_bytes`, whatever the archive's headers say.

    The standard library parses single headers only; the way from header to header is
    written here. tarfile.TarFile reads long names and sparse maps of any size into
    memory, and takes a broken header, or the end of a truncated file, for the end of the
    archive.

    Args:
      stream: an uncompressed tar.
      max_bytes: a larger file is rejected without being read into memory.

    Raises:
      BadArchive: the stream is no tar, or not a complete one; where its first bytes tell
        another format, the message names it.
    """
    try:
        for info, is_sparse in _headers(stream):
            if member := _member(stream, info, is_sparse, max_bytes):
                yield member
    except (tarfile.HeaderError, BadArchive) as error:
        raise BadArchive(_describe(stream.head, error)) from None


def _headers(stream: Md5Stream) -> Iterator[tuple[tarfile.TarInfo, bool]]:
    """Yields each member's header, with its extended headers applied, and whether it is sparse.

    The caller reads the member's data before it takes the next header.
    """
    name, fields = "", dict[str, str]()
    while any(block := stream.read(BLOCK)):  # a block of zeros ends a tar
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
    if len(block) < BLOCK:  # a file that was cut between two members
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
    r"""Parses the records of a pax header, each `<length> <key>=<value>\n`."""
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
    """Returns whether a member is sparse; reads the rest of a GNU sparse map.

    The map goes on for another 512 bytes while byte 504 of the last 512 is set.
    """
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
    """Returns the next `size` bytes and reads the padding behind them."""
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
