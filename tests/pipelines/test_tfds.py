"""What others' tools read from a dataset: TFDS, DELF's parser, the card's own snippets."""

from __future__ import annotations

import csv
import json
import pathlib
import re

import pandas as pd
import pytest
import tensorflow as tf

from pipelines import schema, tfds
from pipelines.schema import Label
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
    labels = schema.parse_labels((prepared / VERSION / "labels.csv").read_text())
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


def test_metadata_hangs_on_nothing_but_its_input(tmp_path: pathlib.Path):
    splits = {"train": {"shard_lengths": [2, 1], "bytes": 30}}
    stats = {"version": "1.0.0", "attribution": True, "splits": splits}
    for name in ("one", "other"):
        tfds.write_metadata(str(tmp_path / name), stats, [Label(0, 7, 2), Label(1, 3, 1)])
    one, other = (sorted((tmp_path / name).iterdir()) for name in ("one", "other"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    assert not any(str(tmp_path) in path.read_text() for path in one)
    assert "attribution/author" in (tmp_path / "one/features.json").read_text()


def snippets(card: str) -> dict[str, str]:
    """The card's Python by the word that comes before it."""
    return dict(re.findall(r"\n(\w[\w.]*)[:;,][^`]*?```python\n(.*?)```", card, re.DOTALL))


def test_the_cards_snippets_run(prepared: pathlib.Path, kept: pd.DataFrame):
    card = (prepared / VERSION / "README.md").read_text()
    found = snippets(card)
    assert set(found) == {"tf.data", "TFDS", "PyTorch"}
    train = (kept["split"] == "train").sum()
    for name in ("tf.data", "TFDS"):
        scope = {"FOLDER": str(prepared / VERSION)}
        exec(found[name], scope)
        assert sum(1 for _ in scope["dataset"].as_numpy_iterator()) == train
    compile(found["PyTorch"], "card", "exec")


def test_the_card_says_how_it_was_made(prepared: pathlib.Path):
    card = (prepared / VERSION / "README.md").read_text()
    done = json.loads((prepared / "decisions/done.json").read_text())
    assert f"| train | near_duplicate | {done['funnel']['dropped/train/near_duplicate']} |" in card
    assert '"near_duplicate_radius": 7' in card
    assert str(prepared) not in card
    assert "\n\n\n\n" not in card
