"""Opens a dataset on disk: a version folder with its labels, counts and shards."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import fnmatch
import hashlib
import posixpath
from collections.abc import Mapping, Sequence

import tensorflow as tf

from pipelines.common import versions
from pipelines.common.errors import UserError
from pipelines.common.labels import Label, parse_labels
from pipelines.common.records import json_record
from pipelines.common.records.stats import STATS, Sizes, SplitSize
from pipelines.common.schema import DATASET, VALIDATION
from trainer import gfile
from trainer.data import shard_cache

_FILES_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Version:
    """One version of the dataset.

    Attributes:
      folder: its path, local or gs://.
      labels: the classes, in the order of the network's outputs.
      splits: the splits' sizes in stats.json, by name.
      digest: sha256 of labels.csv and stats.json, 64 hex.
      cache: a local folder that shards are read from, or ''.
    """

    folder: str
    labels: tuple[Label, ...]
    splits: Mapping[str, SplitSize]
    digest: str
    cache: str = ""

    @property
    def images(self) -> dict[str, int]:
        """Number of photos by split; a split without photos is absent."""
        return {split: entry.images for split, entry in self.splits.items() if entry.images}

    @property
    def has_validation(self) -> bool:
        """Whether the validation split has photos."""
        return self.images.get(VALIDATION, 0) > 0

    def shards(self, split: str) -> list[str]:
        """Returns the paths of a split's shards in order, in the cache if there is one.

        Raises:
          UserError: some or all of them are missing.
        """
        found = self.published(split)
        return shard_cache.local(found, self.cache) if self.cache else found

    def published(self, split: str) -> list[str]:
        """Returns the paths of a split's shards in the dataset's folder, in order.

        Raises:
          UserError: some or all of them are missing.
        """
        names = fnmatch.filter(
            tf.io.gfile.listdir(self.folder), f"{DATASET}-{split}.tfrecord-*-of-*"
        )
        found = [f"{self.folder}/{name}" for name in sorted(names)]
        if not found:
            raise UserError(f"{self.folder}: no {DATASET}-{split}.tfrecord-* shards")
        stated = int(found[0].rsplit("-", 1)[1])
        if len(found) != stated:
            raise UserError(f"{self.folder}: expected {stated} {split} shards, found {len(found)}")
        return found


def find(data: str, cached: str = "") -> Version:
    """Opens a version folder, or the highest version below a dataset folder.

    Args:
      data: the folder, local or gs://.
      cached: a local folder to copy shards to, or ''.

    Raises:
      UserError: there is no such folder, no version in it, or one that cannot be read.
    """
    data = data.rstrip("/") or "/"
    with gfile.reaching(f"--data {data}"):
        return _find(data, cached)


def _find(data: str, cached: str) -> Version:
    if not tf.io.gfile.isdir(data):
        raise UserError(f"--data {data}: no such folder")
    for folder in (data, *_versions(data), *_versions(posixpath.join(data, DATASET))):
        if tf.io.gfile.exists(f"{folder}/labels.csv"):
            return _open(folder, cached)
    raise UserError(f"--data {data}: expected labels.csv, or {DATASET}/<version>/labels.csv, in it")


def _versions(parent: str) -> list[str]:
    """Returns the version folders in a folder, newest first; none if it does not exist."""
    if not tf.io.gfile.isdir(parent):
        return []
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(parent)]
    return [posixpath.join(parent, name) for name in versions.newest_first(names)]


def _open(folder: str, cached: str) -> Version:
    labels_text = gfile.read(f"{folder}/labels.csv")
    stats_text = gfile.read(f"{folder}/{STATS}")
    labels = parse_labels(labels_text, f"{folder}/labels.csv")
    if len(labels) < 2:
        raise UserError(
            f"{folder}/labels.csv: expected two classes or more, found {len(labels)}; "
            "--min_images_per_class of gld2 curate decides which landmarks are kept"
        )
    stats = json_record.loads(Sizes, stats_text, f"{folder}/{STATS}")
    if stats.classes not in (None, len(labels)):
        raise UserError(
            f"{folder}/labels.csv: expected the {stats.classes} classes of {STATS}, found "
            f"{len(labels)}"
        )
    digest = hashlib.sha256((labels_text + stats_text).encode()).hexdigest()
    version = Version(folder, tuple(labels), stats.splits, digest, cached)
    check(version, "train")
    if version.has_validation:
        check(version, VALIDATION)
    return version


def check(version: Version, split: str) -> None:
    """Checks a split before a run: that it has photos, and all its shards at full length.

    Raises:
      UserError: it does not; the message names the file.
    """
    shards = version.published(split)
    entry = version.splits.get(split)
    if not entry or not entry.images:
        raise UserError(f"{version.folder}/{STATS}: no photos in {split}")
    _check_length(shards, entry)


def _check_length(shards: list[str], entry: SplitSize) -> None:
    """Checks that no shard was cut off, before hours are spent on the others.

    File lengths are cheap to get; records are read only if the sum differs from stats.json.
    """
    if entry.bytes is None:
        return
    with concurrent.futures.ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        found = sum(pool.map(lambda path: tf.io.gfile.stat(path).length, shards))
    if found == entry.bytes:
        return
    expected: Sequence[int | None] = entry.shard_lengths or [None] * len(shards)
    for path, photos in zip(shards, expected, strict=False):
        whole = _whole_records(path)
        if whole != photos:
            wanted = "whole records" if photos is None else f"{photos} photos"
            raise UserError(
                f"{path}: expected {wanted}, found {'a record cut off' if whole is None else whole}"
            )
    raise UserError(f"{shards[0]} and others: expected {entry.bytes} bytes, found {found}")


def _whole_records(path: str) -> int | None:
    """Counts a file's records; None where one of them is damaged."""
    try:
        return sum(1 for _ in tf.data.TFRecordDataset(path))
    except tf.errors.DataLossError:
        return None
