"""What `--source` holds, told apart by looking: published tars, or loose photos in folders."""

from __future__ import annotations

import bisect
import dataclasses
import re
from collections.abc import Iterable, Iterator

from pipelines import fetch, files, layout, metadata
from pipelines.schema import UserError
from pipelines.stage import Unit

BLOCK = 4096  # loose photos in a unit
LOOKS = 20  # for loose photos before a split is called absent
NUMBER = re.compile(r"images_(\d{3})\.tar$")


@dataclasses.dataclass(frozen=True)
class Loose:
    """A split of loose photos, listed by a CSV.

    Attributes:
      split: train or test.
      root: the folder with `{split}/a/b/c/{id}.jpg`.
      listing: the CSV whose `id` column lists them.
    """

    split: str
    root: str
    listing: str


@dataclasses.dataclass(frozen=True)
class Source:
    """A place with photos and their metadata.

    Attributes:
      root: folder, gs:// or http(s) URL.
      parts: its tars as units, and its splits of loose photos.
      train_csv, clean_csv, test_csv: paths, or None where the source has none.
      absent: what was looked for and is not there, for a person.
    """

    root: str
    parts: tuple[Unit | Loose, ...]
    train_csv: str | None
    clean_csv: str | None
    test_csv: str | None
    absent: tuple[str, ...] = ()

    @property
    def splits(self) -> list[str]:
        return sorted({part.split for part in self.parts}, reverse=True)

    @property
    def archives(self) -> int | None:
        """The number of units, or None where it takes a whole CSV to know."""
        known = all(isinstance(part, Unit) for part in self.parts)
        return len(self.parts) if known else None


def discover(root: str, splits: Iterable[str], numbers: list[int] | None = None) -> Source:
    """Looks what there is.

    Args:
      root: folder, gs:// or http(s) URL in GLDv2's published or Kaggle's layout.
      splits: which to look for.
      numbers: which tars to take of each split; None for all.

    Raises:
      UserError: nothing of these splits is there, a needed CSV is missing or
        lacks a column, or a place does not answer.
    """
    try:
        source = _discover(root, list(splits), numbers)
    except fetch.Unreachable as error:
        raise UserError(f"--source {root}: {error}") from None
    if source.train_csv:
        metadata.check_header(source.train_csv, metadata.TRAIN)
    if source.clean_csv:
        metadata.check_header(source.clean_csv, metadata.CLEAN)
    if source.test_csv:
        metadata.check_header(source.test_csv, metadata.IDS)
    return source


def expand(part: Unit | Loose) -> Iterator[Unit]:
    """The units of a part: itself, or blocks of the photos that its CSV lists."""
    if isinstance(part, Unit):
        yield part
        return
    for number, block in enumerate(_blocks(metadata.ids(part.listing))):
        yield Unit(f"{part.split}-{number:05d}", part.split, part.root, ids=tuple(block))


def parse_numbers(text: str) -> list[int]:
    """`0-4,7` -> [0, 1, 2, 3, 4, 7].

    Raises:
      UserError: anything else.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        bounds = re.fullmatch(r"\s*(\d{1,3})(?:-(\d{1,3}))?\s*", part)
        if not bounds:
            raise UserError(f"--archives: expected numbers and ranges as 0-4,7, found {text!r}")
        first, last = int(bounds[1]), int(bounds[2] or bounds[1])
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def _discover(root: str, splits: list[str], numbers: list[int] | None) -> Source:
    train_csv = _first_there(root, layout.TRAIN_CSV, layout.KAGGLE_TRAIN_CSV)
    test_csv = _first_there(root, layout.TEST_CSV, layout.KAGGLE_TEST_CSV)
    clean_csv = _first_there(root, layout.CLEAN_CSV)
    parts: list[Unit | Loose] = []
    absent = [] if clean_csv else [layout.CLEAN_CSV]
    for split in splits:
        listing = train_csv if split == "train" else test_csv
        tars = _tars(root, split, numbers)
        if tars:
            parts += [_tar(root, split, number) for number in tars]
            absent += [layout.archive(split, n) for n in numbers or () if n not in tars]
        elif listing and _has_photos(root, split, listing):
            parts.append(Loose(split, root, listing))
        else:
            absent.append(f"{split} photos")
    if not parts:
        raise UserError(
            f"--source {root}: found no photos of {' or '.join(splits)}; expected "
            f"{layout.archive(splits[0], 0)}, or {splits[0]}/a/b/c/<id>.jpg beside a train.csv"
        )
    if any(part.split == "train" for part in parts) and not train_csv:
        raise UserError(f"--source {root}: found train photos but no {layout.TRAIN_CSV}")
    return Source(root, tuple(parts), train_csv, clean_csv, test_csv, tuple(absent))


def _first_there(root: str, *paths: str) -> str | None:
    return next((p for path in paths if fetch.exists(p := files.join(root, path))), None)


def _tar(root: str, split: str, number: int) -> Unit:
    return Unit(
        f"{split}-images_{number:03d}",
        split,
        files.join(root, layout.archive(split, number)),
        files.join(root, layout.md5(split, number)),
    )


def _tars(root: str, split: str, numbers: list[int] | None) -> list[int]:
    if fetch.is_http(root):
        there = _Probe(root, split)
        if numbers is None:  # they are numbered without gaps: look for the first that is absent
            return list(range(bisect.bisect_left(there, True)))
        return [number for number in numbers if not there[number]]
    found = files.match(files.join(root, split, "images_[0-9][0-9][0-9].tar"))
    present = [int(match[1]) for path in found if (match := NUMBER.search(path))]
    return [number for number in present if numbers is None or number in numbers]


class _Probe:
    """For bisection over archive numbers: whether a number is absent."""

    def __init__(self, root: str, split: str):
        self._root, self._split = root, split

    def __len__(self) -> int:
        return layout.MAX_ARCHIVES

    def __getitem__(self, number: int) -> bool:
        return not fetch.exists(files.join(self._root, layout.archive(self._split, number)))


def _has_photos(root: str, split: str, listing: str) -> bool:
    """Looks for the first few listed photos: a listing of millions of files takes hours."""
    first = next(metadata.ids(listing), [])[:LOOKS]
    return any(fetch.exists(files.join(root, layout.photo(split, image_id))) for image_id in first)


def _blocks(chunks: Iterable[list[str]]) -> Iterator[list[str]]:
    block: list[str] = []
    for chunk in chunks:
        block += chunk
        while len(block) >= BLOCK:
            yield block[:BLOCK]
            block = block[BLOCK:]
    if block:
        yield block
