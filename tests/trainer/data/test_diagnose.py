import dataclasses
import itertools

import pytest
import tensorflow as tf

from pipelines.common.errors import UserError
from tests.trainer.conftest import photo, photos, write_version
from trainer.data import dataset, diagnose, input_pipeline


def _read(version, config):
    """Some batches of its train photos."""
    list(itertools.islice(input_pipeline.training(version, config), 3))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (photo(99, 3), "photo 0000000000000063: label 3, but labels.csv ends at 2"),
        (photo(99, None), "label"),
        (dataclasses.replace(photo(99, 0), encoded=b"GIF?"), "JPEG"),
    ],
    ids=["label out of range", "no label", "no image"],
)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_bad_record_is_named(tmp_path, config, split, bad, message):
    records = {"train": photos(0, 7), "validation": photos(100, 3)}
    records[split].append(bad)
    version = dataset.find(str(write_version(tmp_path / "v", *records.values())))
    shards = {"train": 2, "validation": 1}[split]  # and the last of all is in the last shard
    name = f"gld2-{split}.tfrecord-{shards - 1:05d}-of-{shards:05d} record 4: "
    with pytest.raises(UserError, match=rf"\A[^\n]*{name}[^\n]*{message}[^\n]*\Z"), \
            diagnose.reading(version):  # fmt: skip
        _read(version, config)
        list(input_pipeline.evaluation(version, config, "validation"))


@pytest.mark.parametrize("at", [200, -200])
def test_a_damaged_record_is_named(tmp_path, config, at):
    version = dataset.find(str(write_version(tmp_path / "v", photos(0, 8), [])))
    shard = tmp_path / "v" / "gld2-train.tfrecord-00001-of-00002"
    damaged = bytearray(shard.read_bytes())
    damaged[at] ^= 1
    shard.write_bytes(damaged)
    record = 1 if at > 0 else 4
    with pytest.raises(UserError, match=rf"00001-of-00002 record {record}: corrupted record at "), \
            diagnose.reading(version):  # fmt: skip
        _read(version, config)


def test_other_errors_are_not_the_users(version):
    error = tf.errors.ResourceExhaustedError(None, None, "out of memory")
    with pytest.raises(tf.errors.ResourceExhaustedError), diagnose.reading(version):
        raise error
