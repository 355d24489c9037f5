"""Thousands of broken photos and tars: each is read or refused, and none does harm."""

from __future__ import annotations

import collections
import functools
import io
import pathlib
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from pipelines.common import schema
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.common.reasons import Reason
from pipelines.download import tar_reader
from pipelines.download.options import StagingOptions
from pipelines.download.staging import stage
from pipelines.download.tar_reader import BadArchive, Md5Stream
from pipelines.imaging.normalize import NormalizedPhoto, Unreadable, normalize
from pipelines.source.unit import RecordParameters, Unit, UnitFailure
from tests.conftest import ROOT
from tests.fuzz.corpus import images, small_tars, tars
from tests.fuzz.corpus import photos as samples
from tests.pipelines.conftest import read_tables

# A bit flip makes a header claim a hundred million pixels; to decode them is no crash, but slow.
NORMAL = NormalizationConfig(32, max_pixels=1_000_000)
MUTANTS = 150  # of each sample
TARS = 600
UNITS = 60

Mutation = Callable[[random.Random, bytearray], bytearray]


# ---- what is done to them -------------------------------------------------------------------


def flip(chance: random.Random, data: bytearray) -> bytearray:
    for _ in range(chance.choice([1, 1, 2, 8, 64])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def edit_head(chance: random.Random, data: bytearray) -> bytearray:
    """Puts numbers that programs trip over where sizes and offsets are."""
    for _ in range(chance.choice([1, 2, 4])):
        number = chance.choice([0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
        form = chance.choice([">B", "<H", ">H", "<I", ">I"])
        packed = struct.pack(form, number & ((1 << 8 * struct.calcsize(form)) - 1))
        start = chance.randrange(min(len(data), 160))
        data[start : start + len(packed)] = packed
    return data


def cut(chance: random.Random, data: bytearray) -> bytearray:
    return data[: chance.randrange(len(data))]


def repeat(chance: random.Random, data: bytearray) -> bytearray:
    start, stop = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[start:stop] * chance.choice([1, 1, 3]) + data[at:]


def leave_out(chance: random.Random, data: bytearray) -> bytearray:
    start, stop = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[stop:]


def scramble(chance: random.Random, data: bytearray) -> bytearray:
    start = chance.randrange(len(data))
    stop = min(start + chance.choice([4, 16, 200]), len(data))
    data[start:stop] = chance.randbytes(stop - start)
    return data


MUTATIONS: tuple[Mutation, ...] = (flip, edit_head, cut, repeat, leave_out, scramble)


def mutant(seed: str, samples: list[bytes], first: bytes) -> bytes:
    """Another file than `first`, in one or two steps; now and then with another's tail."""
    chance = random.Random(seed)
    data = bytearray(first)
    if chance.random() < 0.1:
        other = chance.choice(samples)
        data = data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]
    for _ in range(chance.choice([1, 1, 2])):
        data = chance.choice(MUTATIONS)(chance, data) or bytearray(b"\0")
    return bytes(data)


# ---- photos ---------------------------------------------------------------------------------


def outcome(data: bytes) -> str:
    try:
        result = normalize(data, NORMAL)
    except Unreadable as error:
        assert isinstance(error.reason, Reason)
        assert error.detail and error.detail.isprintable()
        assert " at 0x" not in error.detail  # an address would differ from run to run
        return error.reason
    assert isinstance(result, NormalizedPhoto)
    assert 0 < max(result.width, result.height) <= NORMAL.image_size
    with Image.open(io.BytesIO(result.jpeg)) as image:
        assert (image.format, image.mode, image.size) == (
            "JPEG", "RGB", (result.width, result.height)
        )  # fmt: skip
    return "photo"


@pytest.mark.parametrize("form", samples())
def test_the_samples_themselves_are_photos(form: str):
    assert {outcome(data) for data in samples()[form]} == {"photo"}


@pytest.mark.parametrize(("what", "seeds"), [("images", images), ("tars", small_tars)])
def test_what_the_fuzzer_starts_from_keeps_all_promises(
    what: str, seeds: Callable[[], list[bytes]], tmp_path: pathlib.Path
):
    paths = [tmp_path / str(number) for number in range(len(seeds()))]
    for path, data in zip(paths, seeds(), strict=True):
        path.write_bytes(data)
    words = [sys.executable, "-m", "tests.fuzz", what, "--replay", *paths]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [
        str(len(paths)),
        what.removesuffix("s").replace("image", "photo"),
    ]


@pytest.mark.parametrize("form", samples())
def test_broken_photos_are_read_or_refused(form: str):
    every = [data for some in samples().values() for data in some]
    found: collections.Counter[str] = collections.Counter()
    for number, first in enumerate(samples()[form]):
        for count in range(MUTANTS):
            found[outcome(mutant(f"{form} {number} {count}", every, first))] += 1
    assert found.total() == MUTANTS * len(samples()[form])
    assert found["undecodable"] > 5


EDGE = 160  # bytes: where formats keep sizes, types and offsets


@pytest.mark.parametrize("form", samples())
def test_each_byte_of_a_header_may_be_wrong(form: str):
    for first in samples()[form]:
        for place in {*range(EDGE), *range(len(first) - EDGE, len(first))}:
            for value in (0, 5, 255):
                found = outcome(first[:place] + bytes([value]) + first[place + 1 :])
                assert found in {"photo", *Reason}


# ---- bombs: small files that claim to be large ----------------------------------------------


def claims(form: str, width: int, height: int) -> bytes:
    """A small file whose header says another size."""
    data = bytearray(samples()[form][0])
    if form == "PNG":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    if form == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    if form == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    if form == "JPEG":
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "JPEG"])
def test_bombs_are_refused_undecoded(form: str):
    with pytest.raises(Unreadable) as caught:
        normalize(claims(form, 60_000, 60_000), NormalizationConfig(64))
    assert caught.value.reason == Reason.TOO_LARGE
    assert "60000 x 60000" in caught.value.detail


# ---- tars -----------------------------------------------------------------------------------


def edit_tar(seed: str, first: bytes) -> bytes:
    """Other than `mutant`, this keeps checksums right: what is behind them is tried too."""
    chance = random.Random(seed)
    data = bytearray(first)
    for _ in range(chance.choice([1, 2, 5])):
        start = 512 * chance.randrange(len(data) // 512)
        block = data[start : start + 512]
        field, length = chance.choice(
            [(0, 100), (124, 12), (156, 1), (157, 100), (257, 8), (345, 150)]
        )
        scrambled = chance.randbytes(length)
        if field == 156:
            scrambled = bytes([chance.choice(b"0123456789xgXLKSDMNV\0")])
        if field == 124 and chance.random() < 0.7:
            scrambled = b"%011o\0" % chance.choice([0, 1, 511, 513, 1 << 20, 1 << 31, 8**11 - 1])
        block[field : field + length] = scrambled
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        data[start : start + 512] = block
    return bytes(data)


def broken_tar(number: int) -> bytes:
    first = tars()[number % len(tars())]
    make = edit_tar if number % 2 else functools.partial(mutant, samples=tars())
    return make(f"tar {number}", first=first)


def test_broken_tars_are_read_or_refused():
    found: collections.Counter[str] = collections.Counter()
    for number in range(TARS):
        try:
            for member in tar_reader.read_members(
                Md5Stream(io.BytesIO(broken_tar(number))), 1 << 20
            ):
                assert (member.data is None) == (member.reason is not None)
                assert member.data is None or schema.ID.match(member.id)
                found[member.reason or "photo"] += 1
            found["whole"] += 1
        except BadArchive as error:
            assert str(error).isprintable()
            found["bad"] += 1
    assert found["whole"] + found["bad"] == TARS
    assert min(found[kind] for kind in ("whole", "bad", "photo", "bad_name")) > 20


def test_each_image_of_a_broken_tar_is_accounted_for(tmp_path: pathlib.Path):
    output, tar = Output(str(tmp_path)), tmp_path / "images_000.tar"
    for folder in ("staged", "facts", "rejects"):
        (tmp_path / folder).mkdir()
    done, failed, lines = [], [], 0
    for number in range(UNITS):
        tar.write_bytes(broken_tar(number))
        unit = Unit(f"u{number}", "train", str(tar))
        summary = stage(unit, output, RecordParameters(NORMAL), StagingOptions(attempts=1))
        rejects = pathlib.Path(output.rejects(unit.name)).read_text().splitlines()
        has_failed = isinstance(summary, UnitFailure)
        (failed if has_failed else done).append(summary)
        lines += 0 if has_failed else len(rejects)
        assert not has_failed or len(rejects) == 1
    facts = read_tables(tmp_path / "facts")
    assert len(done) + len(failed) == UNITS
    assert min(len(done), len(failed)) > 5
    assert len(facts) == sum(s.images for s in done)
    assert (facts["status"] == schema.STAGED).sum() == sum(s.staged for s in done)
    assert (facts["status"] == schema.REJECTED).sum() == lines
    assert len(list(tmp_path.glob("staged/*.tfrecord"))) == len(done)
    assert not list(tmp_path.rglob("*.tmp"))
