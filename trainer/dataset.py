"""A dataset on disk: a version folder with its labels, counts and shards."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import posixpath
import re

import tensorflow as tf

from pipelines import schema
from pipelines.schema import DATASET, VALIDATION, Label, UserError
from trainer import files

_VERSION = re.compile(r"\d+(\.\d+)*\Z")


@dataclasses.dataclass(frozen=True)
class Version:
    """One version of the dataset.

    Attributes:
      folder: where it lies.
      labels: the classes, in the order of the network's outputs.
      images: split -> how many photos it has; a split without photos is absent.
      digest: sha256 of labels.csv and stats.json, 64 hex.
    """

    folder: str
    labels: tuple[Label, ...]
    images: dict[str, int]
    digest: str

    @property
    def has_validation(self) -> bool:
        return self.images.get(VALIDATION, 0) > 0

    def shards(self, split: str) -> list[str]:
        """The split's shards in order.

        Raises:
          UserError: there are none, or some of them are missing.
        """
        found = sorted(tf.io.gfile.glob(f"{self.folder}/{DATASET}-{split}.tfrecord-*-of-*"))
        if not found:
            raise UserError(f"{self.folder}: no {DATASET}-{split}.tfrecord-* shards")
        stated = int(found[0].rsplit("-", 1)[1])
        if len(found) != stated:
            raise UserError(f"{self.folder}: expected {stated} {split} shards, found {len(found)}")
        return found


def find(data: str) -> Version:
    """Opens a version folder, or the highest version below a dataset folder.

    Raises:
      UserError: no such folder, no version in it, or one that cannot be read.
    """
    data = data.rstrip("/") or "/"
    if not tf.io.gfile.isdir(data):
        raise UserError(f"--data {data}: no such folder")
    for folder in (data, *_versions(data), *_versions(posixpath.join(data, DATASET))):
        if tf.io.gfile.exists(f"{folder}/labels.csv"):
            return _open(folder)
    raise UserError(f"--data {data}: expected labels.csv, or {DATASET}/<version>/labels.csv, in it")


def _versions(parent: str) -> list[str]:
    """Version folders, the highest first: 1.10.0 comes before 1.9.0."""
    if not tf.io.gfile.isdir(parent):
        return []
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(parent)]
    names = [name for name in names if _VERSION.match(name)]
    names.sort(key=lambda name: [int(part) for part in name.split(".")], reverse=True)
    return [posixpath.join(parent, name) for name in names]


def _open(folder: str) -> Version:
    labels_text = files.read(f"{folder}/labels.csv")
    stats_text = files.read(f"{folder}/stats.json")
    labels = schema.parse_labels(labels_text, f"{folder}/labels.csv")
    if len(labels) < 2:
        raise UserError(f"{folder}/labels.csv: expected two classes or more, found {len(labels)}")
    images = _counts(stats_text, f"{folder}/stats.json")
    digest = hashlib.sha256((labels_text + stats_text).encode()).hexdigest()
    version = Version(folder, tuple(labels), images, digest)
    version.shards("train")
    if not images.get("train"):
        raise UserError(f"{folder}/stats.json: no photos to train on")
    return version


def _counts(text: str, name: str) -> dict[str, int]:
    try:
        splits = json.loads(text)["splits"]
        return {split: int(entry["images"]) for split, entry in splits.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{name}: expected splits with their images, found {text[:80]!r}"
        ) from error
