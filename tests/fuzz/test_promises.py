"""What the fuzzer starts from, and changes of it as it makes them, keep all promises."""

from __future__ import annotations

import importlib
import pathlib
import random
import subprocess
import sys

import pytest

from tests.conftest import ROOT

CHANGED = {"images": 60, "tars": 150}  # of each input that a fuzzer starts from
EDGE = 160  # bytes: where formats keep sizes, types and offsets


def replay(what: str, inputs: list[bytes], folder: pathlib.Path) -> dict[str, int]:
    """How many inputs have each outcome, where all keep what is promised of them."""
    paths = [folder / str(number) for number in range(len(inputs))]
    for path, data in zip(paths, inputs, strict=True):
        path.write_bytes(data)
    words = [sys.executable, "-m", "tests.fuzz", what, "--replay", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    return {outcome: int(count) for count, outcome in lines}


def change(chance: random.Random, data: bytes, words: tuple[bytes, ...]) -> bytes:
    """Overwrites some bytes, mostly near the ends, and leaves some out."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        place = chance.choice([chance.randrange(EDGE), chance.randrange(len(data)), -EDGE])
        word = chance.choice([b"\0", b"\5", b"\xff" * 4, chance.randbytes(2), chance.choice(words)])
        changed[place : place + len(word)] = word
    start, stop = sorted(chance.randrange(len(data)) for _ in range(2))
    left_out = chance.choice([(stop, stop), (stop, stop), (start, stop), (start, len(data))])
    del changed[slice(*left_out)]
    return bytes(changed)


@pytest.mark.parametrize(("what", "outcome"), [("images", "photo"), ("tars", "tar")])
def test_what_the_fuzzer_starts_from_is_read(what: str, outcome: str, tmp_path: pathlib.Path):
    seeds = importlib.import_module(f"tests.fuzz.{what}").seeds()
    assert replay(what, seeds, tmp_path) == {outcome: len(seeds)}


@pytest.mark.parametrize(
    ("what", "outcomes"),
    [
        ("images", {"photo", "undecodable", "not_an_image", "too_large"}),
        ("tars", {"tar", "no tar"}),
    ],
)
def test_what_is_broken_is_read_or_refused(what: str, outcomes: set[str], tmp_path: pathlib.Path):
    target, chance = importlib.import_module(f"tests.fuzz.{what}"), random.Random(what)
    broken = [
        change(chance, data, target.WORDS) for data in target.seeds() for _ in range(CHANGED[what])
    ]
    mended = map(target.mend, broken[::2])  # checksums fit: what stands behind them is reached
    found = replay(what, [*mended, *broken[1::2]], tmp_path)
    assert found.keys() >= outcomes
    assert sum(found.values()) == len(broken)
