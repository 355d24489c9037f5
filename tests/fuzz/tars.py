"""What holds of an archive, whatever its bytes are: its members are read, or it is refused."""

from __future__ import annotations

import hashlib
import io
import sys
import time

from pipelines.common.reasons import Reason
from pipelines.common.schema import ID
from pipelines.download.tar_reader import (
    CHUNK,
    MAX_EXTENDED,
    BadArchive,
    Md5Stream,
    Member,
    read_members,
)  # fmt: skip
from tests.fuzz import corpus
from tests.fuzz.promise import Overheard, Slow, check

MOST_BYTES = 10_240  # of an input
SECONDS = 1.0  # of CPU for one archive; usual are 0.0005
MOST = 1000  # bytes of a member
BLOCK = 512
ON_DISK = ("open", "os.", "shutil.", "tempfile.", "subprocess.", "socket.")  # audited events

WORDS = (
    b"ustar\x0000", b"ustar  \0", b"GNU.sparse.major=1\n", b"GNU.sparse.map=0,1\n",
    b"22 GNU.sparse.major=1\n", b"9 size=1\n", b"12 path=a/b\n",
    b"31 path=0/00112233445566aa.jpg\n",
    b"30 linkpath=/etc/passwd\n", b"path=", b"size=", b"/00112233445566aa.jpg", b"../", b"/",
    b"././@LongLink", b"./PaxHeaders/", b"\x80\0\0\0\0\0\0\0\0\0\0\1", b"\xff" * 12,
    b"77777777777\0", b"00000000000\0", b"00000001000\0", bytes(512),
    *(bytes([kind]) for kind in b"0123456789xgXLKSDMNVA"),
)  # fmt: skip


class Watched:
    """A stream that notes the most bytes that were asked for at once."""

    def __init__(self, data: bytes):
        self._stream = io.BytesIO(data)
        self.most = 0

    def read(self, size: int) -> bytes:
        check(size >= 0, "a number of bytes is asked for")
        self.most = max(self.most, size)
        return self._stream.read(size)


class Opened:
    """Notes what is opened, made or removed while an archive is read; one for a process.

    Attributes:
      seen: the events since `begin`, or None where nobody watches.
    """

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple) -> None:
        if self.seen is not None and event.startswith(ON_DISK):
            self.seen.append(f"{event}{args}")

    def begin(self) -> None:
        self.seen = []

    def end(self) -> list[str]:
        seen, self.seen = self.seen or [], None
        return seen


opened = Opened()


def seeds() -> list[bytes]:
    return corpus.tars()


def mend(data: bytes) -> bytes:
    """Makes the checksums of headers right, so that what stands behind them is reached."""
    blocks, start = bytearray(data), 0
    while start + BLOCK <= len(data):
        header = bytes(blocks[start : start + BLOCK])
        if any(header):
            blocks[start : start + BLOCK] = corpus.with_checksum(header)
        start += BLOCK + _padded_size(header)
    return bytes(blocks)


def _padded_size(header: bytes) -> int:
    digits = header[124:136].strip(b"\0 ")
    try:
        return -(-max(0, int(digits or b"0", 8)) // BLOCK) * BLOCK
    except ValueError:
        return 0


def outcome(data: bytes, overheard: Overheard) -> str:
    """Returns "tar" or "no tar"; raises Broken where a promise is broken."""
    started, found, members = time.thread_time(), "tar", list[Member]()
    stream = Watched(data)
    digest = Md5Stream(stream)  # type: ignore[arg-type]
    opened.begin()
    try:
        for member in read_members(digest, MOST):
            members.append(member)
    except BadArchive as error:
        check(str(error).isprintable(), f"one line; {error}")
        found = "no tar"
    finally:
        touched = opened.end()
    check(not touched, f"no path is used as a path; {touched[:1]}")
    for member in members:
        _check_member(member)
    _check_sums(data, digest, members, stream.most)
    if (seconds := time.thread_time() - started) > SECONDS:
        raise Slow(f"{seconds:.1f} s: {found}")
    said = overheard.take()
    check(not said, f"nothing is said; {said[:1]}")
    return found


def _check_member(member: Member) -> None:
    check((member.data is None) == (member.reason is not None), "bytes, or a reason")
    if member.reason is None:
        check(ID.fullmatch(member.id) is not None, f"an id of 16 hex digits; {member.id!r}")
        check(len(member.data or b"") <= MOST, "bounded sizes")
        return
    check(member.reason in (Reason.BAD_NAME, Reason.TOO_LARGE), f"a reason; {member.reason}")
    check(member.id == "" or ID.fullmatch(member.id) is not None, f"an id; {member.id!r}")
    check(member.detail.isprintable(), f"one line; {member.detail!r}")
    check(0 < len(member.detail) < 1500, f"a short line; {len(member.detail)}")


def _check_sums(data: bytes, digest: Md5Stream, members: list[Member], most: int) -> None:
    read = sum(len(member.data or b"") for member in members)
    check(read + BLOCK * len(members) <= digest.bytes <= len(data), "no byte is read twice")
    check(most <= max(CHUNK, MAX_EXTENDED, MOST), f"bounded reads; {most}")
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    check(digest.drain() == md5, "the md5 of the whole archive")
