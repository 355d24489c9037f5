"""Decodes the corpus again and again in one process: the peak of memory stays where it was."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import resource
from collections.abc import Iterator

from pipelines.imaging.normalize import Unreadable, normalize
from tests.fuzz import images

FIRST = 10_000  # decodes after which all that is made once is made
FLAT = 1.05


def inputs(folder: pathlib.Path) -> list[bytes]:
    """The corpus, whole and cut, and what a run of the fuzzer has found beside it."""
    whole = images.seeds()
    cut = [data[: len(data) * part // 8] for data in whole for part in (1, 4, 7)]
    grown = sorted(folder.glob("images/corpus/*"))
    return [*whole, *cut, *(path.read_bytes() for path in grown)]


def measure(decodes: int, folder: pathlib.Path) -> int:
    """Prints the peaks; returns 1 where the second is over the first."""
    photos = itertools.cycle(inputs(folder))
    before = peak_after(itertools.islice(photos, FIRST))
    after = peak_after(itertools.islice(photos, max(0, decodes - FIRST)))
    print(f"{before:.1f} MB at {FIRST}, {after:.1f} MB at {decodes}: {after / before - 1:+.1%}")
    return int(after >= before * FLAT)


def peak_after(photos: Iterator[bytes]) -> float:
    """Normalizes photos; returns the most memory that this process has had, in MB."""
    for number, data in enumerate(photos):
        with contextlib.suppress(Unreadable):
            normalize(data, images.WHOLE if number % 4 == 0 else images.BOUNDED)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
