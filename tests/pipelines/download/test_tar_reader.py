"""Tars that are what they seem, and tars that are not."""

from __future__ import annotations

import io
import os
import pathlib
import random
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.common.reasons import Reason
from pipelines.download import tar_reader
from pipelines.download.options import StagingOptions
from pipelines.download.staging import stage
from pipelines.download.tar_reader import BadArchive, Md5Stream, Member
from pipelines.source.unit import RecordParameters, Unit
from tests.fuzz.corpus import with_checksum

ID = "00112233445566aa"
MAX = 1 << 20
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
TYPES = (
    tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"V",
)  # fmt: skip


def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **other) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.type = size, kind
    for field, value in other.items():
        setattr(made, field, value)
    return made


def entry(made: tarfile.TarInfo, data: bytes = b"", form: int = tarfile.GNU_FORMAT) -> bytes:
    """A member's blocks as they lie in a tar; the header may say another size than there is."""
    return made.tobuf(form) + data + b"\0" * (-len(data) % 512)


def photo(number: int, data: bytes = b"photo") -> bytes:
    return entry(info(f"0/0/0/{number:016x}.jpg", len(data)), data)


def header(block: bytes, start: int, value: bytes) -> bytes:
    """A header with other bytes in it, and a checksum that fits them."""
    changed = block[:start] + value + block[start + len(value) :]
    return with_checksum(changed[:512]) + changed[512:]


END = b"\0" * 1024


def read(data: bytes, max_bytes: int = MAX) -> list[Member]:
    return list(tar_reader.read_members(Md5Stream(io.BytesIO(data)), max_bytes))


# ---- what is right --------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("seed", range(10))
def test_finds_what_tarfile_finds(form: int, seed: int):
    chance = random.Random(seed)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for number in range(30):
            long = 5 if form == tarfile.USTAR_FORMAT else 60  # ustar has no longer names
            folder = "/".join("é" * chance.randint(1, long) for _ in range(chance.randint(1, 3)))
            data = chance.randbytes(chance.choice([0, 1, 511, 512, 513, 5000]))
            tar.addfile(info(folder, kind=tarfile.DIRTYPE))
            tar.addfile(
                info(f"{folder}/{number:016x}.jpg", len(data), mtime=1.5, linkname="é" * 2 * long),
                io.BytesIO(data),
            )
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        expected = [
            (pathlib.Path(i.name).stem, tar.extractfile(i).read()) for i in tar if i.isreg()
        ]
    assert [(m.id, m.data) for m in read(file.getvalue())] == expected
    assert len(expected) == 30


def test_the_digest_is_of_all_bytes_and_drains_what_is_left():
    stream = Md5Stream(io.BytesIO(photo(1) + END + b"tail"))
    assert len(list(tar_reader.read_members(stream, MAX))) == 1
    assert stream.drain() == tar_reader.hashlib.md5(photo(1) + END + b"tail").hexdigest()


# ---- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"/{ID}.jpg", "leads out"),
        (f"/0/0/1/{ID}.jpg", "leads out"),
        (f"../{ID}.jpg", "leads out"),
        (f"0/0/../{ID}.jpg", "leads out"),
        (f"..\\..\\{ID}.jpg", "expected a/b/c"),
        (f"C:\\{ID}.jpg", "expected a/b/c"),
        (f"0/0/1/{ID.upper()}.jpg", "expected a/b/c"),
        (f"0/0/1/{ID}0.jpg", "expected a/b/c"),
        (f"0/0/1/{ID[1:]}.jpg", "expected a/b/c"),
        (f"0/0/1/{ID}.jpg.sh", "expected a/b/c"),
        (f"0/0/1/._{ID}.jpg", "expected a/b/c"),
        (f"0/0/1/{ID}\n.jpg", "expected a/b/c"),
        ("0/0/1/passwd", "expected a/b/c"),
        ("x" * 5000, "expected a/b/c"),
        ("\udcff\udcfe.jpg", "expected a/b/c"),
    ],
)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_bad_names_are_rejected_and_the_next_member_is_read(name: str, said: str, form: int):
    bad = info(name, 3).tobuf(form, errors="surrogateescape") + b"bad".ljust(512, b"\0")
    first, second = read(bad + photo(1) + END)
    assert (first.id, first.data, first.reason) == ("", None, Reason.BAD_NAME)
    assert said in first.detail
    assert first.detail.isprintable()
    assert len(first.detail) < 500
    assert second.data == b"photo"


@pytest.mark.parametrize("kind", TYPES)
def test_links_and_devices_are_rejected(kind: bytes):
    bad = info(f"0/0/1/{ID}.jpg", kind=kind, linkname="/etc/passwd")
    first, second = read(entry(bad) + photo(1) + END)
    assert (first.reason, first.data) == (Reason.BAD_NAME, None)
    assert "no plain file" in first.detail
    assert second.data == b"photo"


def test_folders_are_passed_over():
    (only,) = read(entry(info("0/0/1", kind=tarfile.DIRTYPE)) + photo(1) + END)
    assert only.data == b"photo"


# ---- sizes ----------------------------------------------------------------------------------


GIANT = 300 << 20


@pytest.fixture
def read_giant(tmp_path: pathlib.Path) -> Iterator[Callable[[tarfile.TarInfo], list[Member]]]:
    """Reads a tar whose first member is so large, and zeros; it must never be in memory."""

    def read_it(made: tarfile.TarInfo) -> list[Member]:
        with (tmp_path / "giant.tar").open("w+b") as file:
            file.write(made.tobuf(tarfile.GNU_FORMAT))
            file.seek(GIANT, os.SEEK_CUR)
            file.write(photo(1) + END)
            file.seek(0)
            return list(tar_reader.read_members(Md5Stream(file), MAX))

    tracemalloc.start()
    yield read_it
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 << 20


def test_a_large_file_is_skipped_and_never_held(read_giant):
    first, second = read_giant(info(f"0/0/1/{ID}.jpg", GIANT))
    assert (first.id, first.reason) == (ID, Reason.TOO_LARGE)
    assert first.detail == f"{GIANT} bytes, over {MAX}"
    assert second.data == b"photo"


@pytest.mark.parametrize("kind", [b"L", b"x", b"X"])
def test_giant_headers_are_refused_before_they_are_read(read_giant, kind: bytes):
    with pytest.raises(BadArchive, match="a header of 314572800 bytes, over 1048576"):
        read_giant(info("long", GIANT, kind))


@pytest.mark.parametrize("kind", [b"K", b"g"])
def test_giant_headers_of_no_use_are_passed_over(read_giant, kind: bytes):
    (only,) = read_giant(info("long", GIANT, kind))
    assert only.data == b"photo"


def test_sparse_files_are_rejected_whatever_the_length_of_their_map():
    sparse = header(entry(info(f"0/0/1/{ID}.jpg", 512, b"S")), 482, b"\1")
    more, last = b"7" * 504 + b"\1" + b"7" * 7, b"7" * 504 + b"\0" + b"7" * 7
    data = sparse + more * 2000 + last + b"d" * 512 + photo(1) + END
    first, second = read(data)
    assert (first.reason, second.data) == (Reason.BAD_NAME, b"photo")
    assert "no plain file" in first.detail


@pytest.mark.parametrize("version", ["1.0", "0.1"])
def test_sparse_files_of_pax_are_rejected_unexpanded(version: str):
    fields = {"GNU.sparse.major": version[0], "GNU.sparse.minor": version[2],
              "GNU.sparse.name": f"0/0/1/{ID}.jpg", "GNU.sparse.realsize": str(1 << 50),
              "GNU.sparse.map": "0,1"}  # fmt: skip
    made = info(f"GNUSparseFile.0/{ID}.jpg", 1000, pax_headers=fields)
    first, second = read(entry(made, b"1\n" * 500, tarfile.PAX_FORMAT) + photo(1) + END)
    assert (first.reason, second.data) == (Reason.BAD_NAME, b"photo")


NEGATIVE = b"\xff" * 12  # -1 as GNU writes numbers that octal digits cannot hold
HUGE = b"\x80" + b"\x7f" * 11


@pytest.mark.parametrize(
    ("size", "said"), [(NEGATIVE, "a file of -1 bytes"), (HUGE, "ends at byte"),
                       (b"-0000000001\0", "a file of -1 bytes"), (b"9" * 12, "invalid header")]
)  # fmt: skip
def test_absurd_sizes_are_no_tar(size: bytes, said: str):
    with pytest.raises(BadArchive, match=said):
        read(photo(1) + header(photo(2), 124, size) + photo(3) + END)


def test_the_size_of_pax_goes_before_that_of_the_header():
    made = info(f"0/0/1/{ID}.jpg", 7777, pax_headers={"size": "5"})
    (found,) = read(entry(made, b"photo", tarfile.PAX_FORMAT) + END)
    assert found.data == b"photo"


@pytest.mark.parametrize("size", ["-1", "1e3", "", "9" * 30, "\u0665"])
def test_absurd_sizes_of_pax_are_no_tar(size: str):
    made = info(f"0/0/1/{ID}.jpg", 5, pax_headers={"size": size})
    with pytest.raises(BadArchive, match="a file of"):
        read(entry(made, b"photo", tarfile.PAX_FORMAT) + END)


@pytest.mark.parametrize(
    "fields", [b"8 path=x", b"99 path=x\n", b"path=x\n", b"0 path=x\n", b"7 path\n", b"1 ", b"9"]
)
def test_garbled_fields_are_no_tar(fields: bytes):
    made = entry(info("x", len(fields), b"x"), fields)
    with pytest.raises(BadArchive, match="fields cannot be read"):
        read(made + photo(1) + END)


# ---- what is no tar, or not all of it -------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!DOCTYPE html><html></html>" * 50, "found an HTML page"),
        (b"\n <HTML>" + b" " * 600, "found an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>", "found an XML page"),
        (b"\x1f\x8b\x08" + b"g" * 600, "found a gzip file"),
        (b"BZh91AY" + b"b" * 600, "found a bzip2 file"),
        (b"\xfd7zXZ\0" + b"x" * 600, "found an xz file"),
        (b"PK\x03\x04" + b"z" * 600, "found a zip file"),
        (b"", "found 0 bytes"),
        (b"text", "truncated header"),
        (b"text" * 200, "bad checksum|invalid header"),
    ],
)
def test_what_is_no_tar_is_named(data: bytes, said: str):
    with pytest.raises(BadArchive, match=said):
        read(data)


def test_every_cut_is_noticed():
    data = b"".join(photo(n, b"p" * 700) for n in range(5))
    assert len(read(data + END)) == 5
    for end in range(0, len(data) + 1, 64):
        with pytest.raises(BadArchive):
            read(data[:end])


def test_a_broken_header_is_noticed_wherever_it_is():
    data = b"".join(photo(n) for n in range(5)) + END
    for number in range(5):
        broken = bytearray(data)
        broken[number * 1024] ^= 1
        with pytest.raises(BadArchive, match="bad checksum"):
            read(bytes(broken))


# ---- as a unit ------------------------------------------------------------------------------


def test_a_repeated_id_is_rejected_and_all_members_are_counted(tmp_path: pathlib.Path):
    tar = tmp_path / "images_000.tar"
    link = info(f"0/0/1/{ID}.jpg", kind=tarfile.SYMTYPE, linkname="/etc/passwd")
    tar.write_bytes(photo(1) + entry(link) + photo(1, b"other") + END)
    output = Output(str(tmp_path / "out"))
    for folder in ("staged", "facts", "rejects"):
        (tmp_path / "out" / folder).mkdir(parents=True)
    unit, parameters = Unit("u", "train", str(tar)), RecordParameters(NormalizationConfig(64))
    summary = stage(unit, output, parameters, StagingOptions(attempts=1))
    assert summary.images == 3
    assert summary.rejected == {"not_an_image": 1, "bad_name": 1, "repeated_id": 1}
