"""A small dataset of coloured squares, in the format that `gld2 shard` writes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainer  # noqa: F401  (chooses Keras' backend)
from pipelines.common import schema
from pipelines.common.labels import Label, format_labels
from pipelines.storage import tf_example
from tests.conftest import built_once
from trainer.config import Config
from trainer.data import dataset

COLOURS = ((220, 40, 40), (40, 200, 40), (40, 60, 220))  # one for each class


@dataclasses.dataclass(frozen=True)
class Photo:
    """A record to be.

    Attributes:
      id: 16 hex.
      encoded: JPEG bytes.
      label: index into labels.csv, or None as on test.
    """

    id: str
    encoded: bytes
    label: int | None


def photo(number: int, label: int | None, height: int = 40, width: int = 56) -> Photo:
    """A noisy photo in its class's colour; grey where it has none."""
    noise = np.random.default_rng(number).normal(0, 20, (height, width, 3))
    colour = (128, 128, 128) if label is None else COLOURS[label % len(COLOURS)]
    pixels = np.clip(noise + colour, 0, 255).astype(np.uint8)
    return Photo(f"{number:016x}", tf.io.encode_jpeg(pixels).numpy(), label)


def example(record: Photo) -> bytes:
    """A serialised tf.train.Example."""
    features: dict[str, Any] = {
        schema.ENCODED: record.encoded,
        schema.IMAGE_ID: record.id.encode(),
        schema.FORMAT: b"JPEG",
    }
    if record.label is not None:
        features[schema.LABEL] = record.label
    return tf_example.encode(features)


def write_split(folder: Path, split: str, records: Sequence[Photo], shards: int) -> None:
    for shard in range(shards):
        path = folder / f"{schema.DATASET}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records[shard::shards]:
                writer.write(example(record))


def write_version(
    folder: Path, train: Sequence[Photo], validation: Sequence[Photo], classes: int = 3
) -> Path:
    """A version folder; a split without photos is absent."""
    folder.mkdir(parents=True)
    splits = {"train": (train, 2), "validation": (validation, 1)}
    for split, (records, shards) in splits.items():
        if records:
            write_split(folder, split, records, shards)
    counts = [sum(record.label == label for record in train) for label in range(classes)]
    labels = [Label(i, 1000 + i, count) for i, count in enumerate(counts)]
    (folder / "labels.csv").write_text(format_labels(labels))
    stats = {
        split: {
            "images": len(records),
            "shards": shards,
            "shard_lengths": [len(records[shard::shards]) for shard in range(shards)],
            "bytes": sum(path.stat().st_size for path in folder.glob(f"*-{split}.tfrecord-*")),
        }
        for split, (records, shards) in splits.items()
        if records
    }
    (folder / "stats.json").write_text(json.dumps({"splits": stats}))
    return folder


def photos(first: int, count: int) -> list[Photo]:
    return [photo(number, number % 3) for number in range(first, first + count)]


@pytest.fixture(scope="session")
def version_folder(tmp_path_factory) -> Iterator[Path]:
    """22 photos of three classes to train on, 7 to validate."""
    version = Path("dataset", schema.DATASET, "1.0.0")

    def build(folder: Path) -> None:
        write_version(folder / version, photos(0, 22), photos(100, 7))

    with built_once(tmp_path_factory, "squares", build) as folder:
        yield folder / version


@pytest.fixture(autouse=True)
def _global_seed():
    """As train.run sets it; another test may have left 0, with which tf.data takes no tensor."""
    tf.random.set_seed(1)


@pytest.fixture
def version(version_folder) -> dataset.Version:
    return dataset.find(str(version_folder))


@pytest.fixture
def config(version_folder, tmp_path) -> Config:
    """The defaults, shrunk."""
    return Config(
        data=(str(version_folder),),
        job_dir=str(tmp_path / "job"),
        backbone="mobilenet",
        alpha=0.25,
        weights="none",
        image_size=32,
        batch_size=4,
        epochs=(2,),
    )


@pytest.fixture
def pretrained(config, tmp_path) -> Config:
    """The same from a file of weights, so that there are two phases; of an epoch each."""
    path = tmp_path / "mobilenet.weights.h5"
    keras.applications.MobileNet(
        alpha=0.25, weights=None, include_top=False, input_shape=(32, 32, 3)
    ).save_weights(path)
    return dataclasses.replace(config, weights=str(path), head_epochs=1, epochs=(1,))


def flags(config: Config, **changes) -> list[str]:
    """The command line of a config."""
    values = {**dataclasses.asdict(config), **changes}
    return [part for name, value in values.items() for part in (f"--{name}", _word(value))]


def _word(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
