"""Finds what `--source` holds: published tars, photos in folders, or URLs in train.csv."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from pipelines.common import paths
from pipelines.common.errors import UserError
from pipelines.common.paths import join
from pipelines.source import metadata_csv
from pipelines.source.unit import Unit
from pipelines.storage import filesystem, streams

BLOCK = 4096  # photos of a folder in a unit
URL_BLOCK = 1024  # URLs in a unit: at 2 per second, a kill loses at most nine minutes
PROBED_PHOTOS = 20  # photos to ask a server for before their split counts as absent
T = TypeVar("T")
NUMBER = re.compile(r"images_(\d{3})\.tar$")


@dataclasses.dataclass(frozen=True)
class PhotoFolder:
    """A split whose photos are single files in folders.

    Attributes:
      split: train or test.
      root: the folder with `{split}/a/b/c/{id}.jpg`.
      listing: path of the CSV whose `id` column lists the photos.
    """

    split: str
    root: str
    listing: str


@dataclasses.dataclass(frozen=True)
class UrlShare:
    """One worker's share of the URLs that a CSV lists.

    A share is fetched by one process at a time, on any engine, which may use the same
    share of the allowed requests per second to a host.

    Attributes:
      split: train.
      listing: path of the CSV with the columns `id` and `url`.
      number: index of this share.
      shares: number of shares; this one has the blocks number, number + shares, ...
    """

    split: str
    listing: str
    number: int
    shares: int


Part = Unit | PhotoFolder | UrlShare


@dataclasses.dataclass(frozen=True)
class Source:
    """The photos and metadata of a dataset.

    Attributes:
      root: folder, gs:// or http(s) URL.
      parts: tars as units, splits in folders, or shares of URLs.
      train_csv, clean_csv, test_csv: paths, or None where the source has no such file.
      absent: names of what is missing, for messages.
      attribution_csv, categories_csv: paths where a filter reads them, else None.
    """

    root: str
    parts: tuple[Part, ...]
    train_csv: str | None
    clean_csv: str | None
    test_csv: str | None
    absent: tuple[str, ...] = ()
    attribution_csv: str | None = None
    categories_csv: str | None = None

    @property
    def splits(self) -> list[str]:
        """Returns the splits that have parts: train, test, index, as far as present."""
        return sorted({part.split for part in self.parts}, reverse=True)

    @property
    def unit_count(self) -> int | None:
        """Returns the number of units, or None where a whole CSV must be read to know."""
        known = all(isinstance(part, Unit) for part in self.parts)
        return len(self.parts) if known else None


def discover_source(
    root: str, splits: Iterable[str], numbers: Sequence[int] | None = None
) -> Source:
    """Returns the photos and metadata that a source has.

    Args:
      root: folder, gs:// or http(s) URL in GLDv2's published or Kaggle's layout.
      splits: to look for.
      numbers: of the tars to take from each split; None for all.

    Raises:
      UserError: there are no photos of these splits, a required CSV is missing or
        lacks a column, or a server does not answer.
    """
    found = discover_metadata(root)
    with _reaching(root):
        return _with_photos(found, list(splits), numbers)


def expand_part(part: Part) -> Iterator[Unit]:
    """Yields the units of a part: a tar is one; a CSV gives one for each block of rows."""
    if isinstance(part, Unit):
        yield part
    elif isinstance(part, PhotoFolder):
        for number, listed in enumerate(_blocks(metadata_csv.ids(part.listing), BLOCK)):
            yield Unit(f"{part.split}-{number:05d}", part.split, part.root, ids=tuple(listed))
    else:
        rows = enumerate(_blocks(metadata_csv.urls(part.listing), URL_BLOCK))
        for number, block in itertools.islice(rows, part.number, None, part.shares):
            ids, urls = zip(*block, strict=True)
            name = f"{part.split}-urls_{number:05d}"
            yield Unit(name, part.split, part.listing, ids=ids, urls=urls)


def discover_urls(root: str, splits: Iterable[str], shares: int) -> Source:
    """Returns a source whose train photos are fetched from the URLs in train.csv.

    The other splits are published without URLs; where they are asked for, they are absent.

    Args:
      root: folder, gs:// or http(s) URL with train.csv; photos there are ignored.
      splits: to look for.
      shares: number of parts to divide the URLs into.

    Raises:
      UserError: there is no train.csv, it has no column `url`, or a server does not answer.
    """
    found = discover_metadata(root)
    if not found.train_csv:
        raise UserError(f"--from_urls: found no {paths.TRAIN_CSV} at {root}")
    metadata_csv.check_header(found.train_csv, metadata_csv.URLS | metadata_csv.TRAIN)
    parts = tuple(UrlShare("train", found.train_csv, number, shares) for number in range(shares))
    absent = tuple(f"URLs of {split} photos" for split in splits if split != "train")
    return dataclasses.replace(found, parts=parts, absent=found.absent + absent)


def discover_metadata(root: str) -> Source:
    """Returns a source without its photos, for commands that read its metadata alone.

    Raises:
      UserError: a CSV lacks a column, or a server does not answer.
    """
    with _reaching(root):
        train_csv = _first_existing(root, paths.TRAIN_CSV, paths.KAGGLE_TRAIN_CSV)
        test_csv = _first_existing(root, paths.TEST_CSV, paths.KAGGLE_TEST_CSV)
        clean_csv = _first_existing(root, paths.CLEAN_CSV)
    absent = () if clean_csv else (paths.CLEAN_CSV,)
    for path, columns in (
        (train_csv, metadata_csv.TRAIN),
        (clean_csv, metadata_csv.CLEAN),
        (test_csv, metadata_csv.IDS),
    ):
        if path:
            metadata_csv.check_header(path, columns)
    return Source(root, (), train_csv, clean_csv, test_csv, absent)


def find_csv(root: str, flag: str, columns: Mapping[str, str], *paths: str) -> str:
    """Returns the path of the first CSV that exists, in the published or Kaggle's layout.

    Args:
      root: of the source.
      flag: that requires the file, for errors.
      columns: that it must have.
      *paths: of the candidates, relative to `root`.

    Raises:
      UserError: there is none, it lacks a column, or a server does not answer.
    """
    beside = [path.rsplit("/", 1)[1] for path in paths]  # Kaggle's layout has them at the root
    with _reaching(root):
        found = _first_existing(root, *paths, *beside)
    if not found:
        raise UserError(f"{flag}: found no {' or '.join(paths)} at {root}")
    metadata_csv.check_header(found, columns)
    return found


@contextlib.contextmanager
def _reaching(root: str) -> Iterator[None]:
    """Raises UserError where a file of the source is unreachable."""
    try:
        yield
    except streams.Unreachable as error:
        raise UserError(f"--source {root}: {error}") from None


def _with_photos(source: Source, splits: list[str], numbers: Sequence[int] | None) -> Source:
    root = source.root
    parts: list[Part] = []
    absent = list(source.absent)
    for split in splits:
        listing = {"train": source.train_csv, "test": source.test_csv}.get(split)
        tars = _tars(root, split, numbers)
        if tars:
            parts += [_tar(root, split, number) for number in tars]
            absent += [paths.archive(split, n) for n in numbers or () if n not in tars]
        elif listing and _has_photos(root, split, listing):
            parts.append(PhotoFolder(split, root, listing))
        else:
            absent.append(f"{split} photos")
    if not parts:
        raise UserError(
            f"--source {root}: found no photos of {' or '.join(splits)}; expected "
            f"{paths.archive(splits[0], 0)}, or {splits[0]}/a/b/c/<id>.jpg beside a train.csv"
        )
    if any(part.split == "train" for part in parts) and not source.train_csv:
        raise UserError(f"--source {root}: found train photos but no {paths.TRAIN_CSV}")
    return dataclasses.replace(source, parts=tuple(parts), absent=tuple(absent))


def _first_existing(root: str, *paths: str) -> str | None:
    return next((p for path in paths if streams.exists(p := join(root, path))), None)


def _tar(root: str, split: str, number: int) -> Unit:
    return Unit(
        f"{split}-images_{number:03d}",
        split,
        join(root, paths.archive(split, number)),
        join(root, paths.md5(split, number)),
    )


def _tars(root: str, split: str, numbers: Sequence[int] | None) -> list[int]:
    def is_absent(number: int) -> bool:
        return not streams.exists(join(root, paths.archive(split, number)))

    if streams.is_http(root):
        if numbers is None:  # numbers have no gaps: search for the first absent one
            every = range(paths.MAX_ARCHIVES)
            return list(range(bisect.bisect_left(every, True, key=is_absent)))
        return [number for number in numbers if not is_absent(number)]
    found = filesystem.match(join(root, split, "images_[0-9][0-9][0-9].tar"))
    present = [int(match[1]) for path in found if (match := NUMBER.search(path))]
    return [number for number in present if numbers is None or number in numbers]


def _has_photos(root: str, split: str, listing: str) -> bool:
    """Returns whether a split has files; over HTTP, whether some of the listed photos are there."""
    if not streams.is_http(root):
        return filesystem.has_files(join(root, split))
    block = next(metadata_csv.ids(listing), [])
    some = block[:: len(block) // PROBED_PHOTOS + 1]
    return any(streams.exists(join(root, paths.photo(split, image_id))) for image_id in some)


def _blocks(chunks: Iterable[list[T]], size: int) -> Iterator[list[T]]:
    block: list[T] = []
    for chunk in chunks:
        block += chunk
        while len(block) >= size:
            yield block[:size]
            block = block[size:]
    if block:
        yield block
