import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.conftest import photo, photos, write_version
from trainer import data, dataset


@pytest.fixture(autouse=True)
def _global_seed():
    tf.random.set_seed(1)


def _batches(version, config, count, first_epoch=0):
    return [
        (images.numpy(), labels.numpy())
        for images, labels in itertools.islice(data.training(version, config, first_epoch), count)
    ]


def _equal(left, right):
    flat = [[array for batch in batches for array in batch] for batches in (left, right)]
    return all(np.array_equal(a, b) for a, b in zip(*flat, strict=True))


def test_training_gives_full_static_batches(version, config):
    images, labels = data.training(version, config).element_spec
    assert images.shape == (4, 32, 32, 3)
    assert images.dtype == tf.float32
    assert labels.shape == (4,)
    assert data.steps_per_epoch(version, config) == 5


def test_an_epoch_has_each_photo_at_most_once(version, config):
    plain = dataclasses.replace(config, crop=1.0, colour=0.0, flip=0.0)
    seen = np.concatenate([images for images, _ in _batches(version, plain, 5)])
    assert len(np.unique(seen.reshape(20, -1), axis=0)) == 20


def test_training_is_the_same_for_a_seed(version, config):
    first = _batches(version, config, 7)
    assert _equal(first, _batches(version, config, 7))
    assert not _equal(first, _batches(version, dataclasses.replace(config, seed=1), 7))


def test_training_continues_at_an_epoch_as_if_it_had_not_stopped(version, config):
    whole = _batches(version, config, 10)
    assert _equal(whole[5:], _batches(version, config, 5, first_epoch=1))
    assert not _equal(whole[:5], whole[5:])


def test_fewer_photos_than_a_batch(tmp_path, config):
    version = dataset.find(str(write_version(tmp_path / "v", photos(0, 3), [])))
    ((images, labels),) = _batches(version, config, 1)
    assert images.shape == (3, 32, 32, 3)
    assert sorted(labels) == [0, 1, 2]
    assert data.steps_per_epoch(version, config) == 1


def test_evaluation_gives_each_photo_once(version, config):
    batches = list(data.evaluation(version, config, "validation"))
    assert [len(labels) for _, labels, _ in batches] == [4, 3]
    ids = [name.decode() for _, _, names in batches for name in names.numpy()]
    assert ids == [f"{number:016x}" for number in range(100, 107)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (photo(99, 3), "photo 0000000000000063: label 3, but labels.csv ends at 2"),
        (photo(99, None), "a record cannot be read: .*label"),
        (dataclasses.replace(photo(99, 0), encoded=b"GIF?"), "a record cannot be read: .*image"),
    ],
    ids=["label out of range", "no label", "no image"],
)
def test_a_bad_record_can_be_told(tmp_path, config, bad, message):
    version = dataset.find(str(write_version(tmp_path / "v", [*photos(0, 7), bad], [])))
    with pytest.raises(tf.errors.OpError) as caught:
        _batches(version, config, 2)
    error = data.user_error(caught.value, version)
    assert error is not None
    assert "\n" not in str(error)
    with pytest.raises(type(error), match=message):
        raise error


def test_other_errors_are_not_the_users(version):
    error = tf.errors.ResourceExhaustedError(None, None, "out of memory")
    assert data.user_error(error, version) is None
