"""What others' tools read from a dataset: TFDS, and DELF's parser."""

from __future__ import annotations

import csv
import pathlib
import subprocess
import sys

import pandas as pd
import pytest
import tensorflow as tf

from pipelines.common import schema
from pipelines.common.labels import Label, parse_labels
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.records.stats import Split, Stats
from pipelines.common.schema import ATTRIBUTION
from pipelines.shard import tfds_metadata
from pipelines.storage import tf_example, tfrecord
from tests.conftest import ROOT
from tests.pipelines.conftest import read_shards, read_tables

VERSION = "dataset/gld2/1.0.0"


@pytest.fixture(scope="module")
def builder(prepared: pathlib.Path):
    import tensorflow_datasets

    return tensorflow_datasets.builder_from_directory(str(prepared / VERSION))


@pytest.fixture(scope="module")
def kept(prepared: pathlib.Path) -> pd.DataFrame:
    decisions = read_tables(prepared / "decisions")
    return decisions[decisions["keep"]].set_index("id")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_tfds_reads_each_split_id_by_id(builder, kept, prepared, split: str):
    rows = kept[kept["split"] == split]
    info = builder.info.splits[split]
    size = sum(path.stat().st_size for path in (prepared / VERSION).glob(f"gld2-{split}.*"))
    assert (info.num_examples, info.num_bytes) == (len(rows), size)
    seen = []
    for record in builder.as_dataset(split).as_numpy_iterator():
        row = rows.loc[record[schema.IMAGE_ID].decode()]
        seen.append(row.name)
        assert record[schema.ENCODED].shape == (record[schema.HEIGHT], record[schema.WIDTH], 3)
        expected = [] if split == "test" else [row["label"]]
        assert record[schema.LABEL].tolist() == expected
        if expected:
            assert record[schema.LANDMARK_ID].tolist() == [row["landmark_id"]]
    assert sorted(seen) == sorted(rows.index)


def test_tfds_names_labels_by_landmark(builder, prepared: pathlib.Path):
    labels = parse_labels((prepared / VERSION / "labels.csv").read_text())
    feature = builder.info.features[schema.LABEL]
    assert feature.names == [str(label.landmark_id) for label in labels]


def test_delf_reads_records_and_relabeling(prepared: pathlib.Path):
    """The feature map is that of DELF's dataset parser."""
    features = {
        "image/height": tf.io.FixedLenFeature([], tf.int64, default_value=0),
        "image/width": tf.io.FixedLenFeature([], tf.int64, default_value=0),
        "image/channels": tf.io.FixedLenFeature([], tf.int64, default_value=0),
        "image/format": tf.io.FixedLenFeature([], tf.string, default_value=""),
        "image/id": tf.io.FixedLenFeature([], tf.string, default_value=""),
        "image/encoded": tf.io.FixedLenFeature([], tf.string, default_value=""),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64, default_value=0),
    }
    with (prepared / VERSION / "relabeling.csv").open(newline="") as file:
        old = {int(row["new_label"]): int(row["old_label"]) for row in csv.DictReader(file)}
    shards = [str(path) for path in sorted((prepared / VERSION).glob("gld2-train.tfrecord-*"))]
    ours = {record[schema.IMAGE_ID]: record for record in read_shards(prepared / VERSION, "train")}
    for record in tf.data.TFRecordDataset(shards).as_numpy_iterator():
        found = tf.io.parse_single_example(record, features)
        same = ours.pop(found["image/id"].numpy())
        assert old[int(found["image/class/label"])] == same[schema.LANDMARK_ID]
        image = tf.io.decode_jpeg(found["image/encoded"])
        assert image.shape == tuple(
            int(found[f"image/{name}"]) for name in ("height", "width", "channels")
        )
    assert not ours


# ---- datasets of another shape -----------------------------------------------------------------


def load(folder: pathlib.Path, splits: dict[str, list[list[dict]]], labels: list[Label]):
    """A builder over records: split -> shards -> features beside the photo."""
    stats = Stats(NormalizationConfig(), {}, "1.0.0", 0, "", attribution=True)
    for split, shards in splits.items():
        for number, rows in enumerate(shards):
            path = folder / f"gld2-{split}.tfrecord-{number:05d}-of-{len(shards):05d}"
            path.write_bytes(
                b"".join(tfrecord.frame(tf_example.encode(PHOTO | row)) for row in rows)
            )
        lengths = [*map(len, shards)]
        stats.splits[split] = Split(sum(lengths), len(shards), 1, lengths)
    tfds_metadata.write_metadata(str(folder), stats, labels)
    import tensorflow_datasets

    return tensorflow_datasets.builder_from_directory(str(folder))


PHOTO = {
    schema.ENCODED: tf.io.encode_jpeg(tf.zeros((2, 3, 3), tf.uint8)).numpy(),
    schema.IMAGE_ID: b"0" * 16,
    schema.HEIGHT: 2,
    schema.WIDTH: 3,
    schema.CHANNELS: 3,
    schema.COLORSPACE: b"RGB",
    schema.FORMAT: b"JPEG",
}
LANDMARK = {schema.LABEL: 1, schema.LANDMARK_ID: 9}
LABELS = [Label(0, 4, 0), Label(1, 9, 2)]


def test_an_attribution_may_be_there_or_not(tmp_path: pathlib.Path):
    thanks = {key: name.encode() for name, key in ATTRIBUTION.items()}
    builder = load(tmp_path, {"train": [[LANDMARK | thanks], [LANDMARK]], "test": [[{}]]}, LABELS)
    given, missing = builder.as_dataset("train").as_numpy_iterator()
    assert {key: given[key] for key in thanks} == thanks
    (test,) = builder.as_dataset("test").as_numpy_iterator()
    assert {row[key] for row in (missing, test) for key in thanks} == {b""}


def test_a_shard_may_be_empty(tmp_path: pathlib.Path):
    builder = load(tmp_path, {"train": [[], [LANDMARK], [], [LANDMARK, LANDMARK]]}, LABELS)
    assert builder.info.splits["train"].shard_lengths == [0, 1, 0, 2]
    assert len(list(builder.as_dataset("train"))) == 3


def test_a_dataset_may_have_test_photos_alone(tmp_path: pathlib.Path):
    builder = load(tmp_path, {"test": [[{}, {}]]}, [])
    (one, _) = builder.as_dataset("test").as_numpy_iterator()
    assert one[schema.LABEL].shape == one[schema.LANDMARK_ID].shape == (0,)
    assert builder.info.features[schema.LABEL].num_classes == 0


def test_as_supervised_gives_photo_and_label(tmp_path: pathlib.Path):
    builder = load(tmp_path, {"train": [[LANDMARK]]}, LABELS)
    ((image, label),) = builder.as_dataset("train", as_supervised=True)
    assert (image.shape, image.dtype) == ((2, 3, 3), tf.uint8)
    assert builder.info.features[schema.LABEL].int2str(int(label[0])) == "9"


def test_all_of_gldv2s_labels_are_written_in_silence_and_without_tensorflow(tmp_path):
    """A TFDS that looked things up on the network would not be silent here, nor quick."""
    code = f"""
import socket, sys
socket.socket.connect = lambda *args: sys.exit("it went to the network")
from pipelines.common.labels import Label
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.records.stats import Stats
from pipelines.shard import tfds_metadata
stats = Stats(NormalizationConfig(), {{}}, "1.0.0", 0, "")
tfds_metadata.write_metadata({str(tmp_path)!r}, stats, [Label(n, 2 * n, 4) for n in range(203_094)])
assert "tensorflow" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    names = (tmp_path / "image.class.label.labels.txt").read_text().splitlines()
    assert (len(names), names[-1]) == (203_094, "406186")
