"""Members of a tar, read once from a stream that is not trusted."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO

from pipelines.schema import ID, Reason

MAX_NAME = 100  # characters of a bad name that are worth repeating


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


class Digest:
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


def members(stream: Digest, max_bytes: int) -> Iterator[Member]:
    """The files of a tar, in its order. Folders are passed over: they are not images.

    A member's name is looked at for its id and never used as a path.

    Args:
      stream: of a plain tar.
      max_bytes: a larger file is rejected without being read into memory.

    Raises:
      BadArchive: saying what it is instead, where that can be seen.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]
            for info in tar:
                if not info.isdir():
                    yield _member(tar, info, max_bytes)
                tar.members.clear()  # type: ignore[attr-defined]  # or it remembers every one
    except (tarfile.TarError, EOFError) as error:
        raise BadArchive(_what_it_is(stream.head, error)) from None


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, max_bytes: int) -> Member:
    stem, _ = posixpath.splitext(posixpath.basename(info.name))
    name = repr(info.name[:MAX_NAME])
    if not info.isfile():
        return Member("", None, Reason.BAD_NAME, f"{name} is no plain file")
    if not ID.match(stem):
        return Member("", None, Reason.BAD_NAME, f"expected a/b/c/<16 hex>.jpg, found {name}")
    if info.size > max_bytes:
        return Member(stem, None, Reason.TOO_LARGE, f"{info.size} bytes, over {max_bytes}")
    file = tar.extractfile(info)
    assert file is not None  # it is a plain file
    data = file.read()
    if len(data) != info.size:
        raise tarfile.ReadError(f"the archive ends inside {name}")
    return Member(stem, data)


def _what_it_is(head: bytes, error: Exception) -> str:
    start = head.lstrip()[:100].lower()
    if start.startswith((b"<!doctype", b"<html")):
        return "expected a tar, found an HTML page"
    if start.startswith(b"<?xml"):
        return "expected a tar, found an XML page"
    return f"expected a whole tar, found: {error}"
