import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.conftest import photo, photos, write_version
from trainer.data import dataset, input_pipeline
from trainer.position import START, TrainingPosition


def _batches(version, config, count, begin=START, **hosts):
    return [
        (images.numpy(), labels.numpy())
        for images, labels in itertools.islice(
            input_pipeline.training(version, config, begin, **hosts), count
        )
    ]


def _equal(left, right):
    flat = [[array for batch in batches for array in batch] for batches in (left, right)]
    return all(np.array_equal(a, b) for a, b in zip(*flat, strict=True))


def test_training_gives_full_static_batches(version, config):
    images, labels = input_pipeline.training(version, config).element_spec
    assert images.shape == (4, 32, 32, 3)
    assert images.dtype == tf.uint8
    assert labels.shape == (4,)
    assert input_pipeline.steps_per_epoch(version, config) == 5


def test_training_is_the_same_for_a_seed(version, config):
    first = _batches(version, config, 7)
    assert _equal(first, _batches(version, config, 7))
    assert not _equal(first, _batches(version, dataclasses.replace(config, seed=1), 7))


def test_training_continues_at_an_epoch_as_if_it_had_not_stopped(version, config):
    whole = _batches(version, config, 10)
    assert _equal(whole[5:], _batches(version, config, 5, TrainingPosition(1)))
    assert _equal(whole[3:], _batches(version, config, 7, TrainingPosition(0, 3)))
    assert _equal(whole[9:], _batches(version, config, 1, TrainingPosition(1, 4)))
    assert not _equal(whole[:5], whole[5:])


@pytest.mark.parametrize("hosts", [1, 2, 4])  # there are two shards
def test_an_epoch_has_each_photo_at_most_once_on_all_hosts_together(version, config, hosts):
    plain = dataclasses.replace(config, crop=1.0, color_jitter=0.0, flip=0.0)
    seen = [
        images
        for host in range(hosts)
        for images, _ in _batches(version, plain, 5, host=host, hosts=hosts)
    ]
    assert {images.shape for images in seen} == {(4 // hosts, 32, 32, 3)}
    assert len(np.unique(np.concatenate(seen).reshape(20, -1), axis=0)) == 20


def test_balanced_classes_are_seen_alike(tmp_path, config):
    many = [photo(number, 0) for number in range(60)]
    few = [photo(100 + number, 1 + number % 2) for number in range(12)]
    version = dataset.find(str(write_version(tmp_path / "v", many + few, [])))
    shares = []
    for power in (0.0, 0.5, 1.0):
        settings = dataclasses.replace(config, class_balance=power)
        labels = np.concatenate([labels for _, labels in _batches(version, settings, 18 * 10)])
        shares.append(np.mean(labels == 0))
    root = np.sqrt([60, 6, 6])
    assert shares == pytest.approx([60 / 72, root[0] / root.sum(), 1 / 3], abs=0.05)
    again = [labels for _, labels in _batches(version, settings, 18)]
    assert np.array_equal(again, [labels for _, labels in _batches(version, settings, 18)])


def test_repetitions_keep_the_length_of_an_epoch():
    sizes = [1, 10, 1000]
    for power in (0.0, 0.3, 1.0):
        times = input_pipeline.repetitions(sizes, power)
        assert np.dot(times, sizes) == pytest.approx(1011, rel=1e-4)
    assert times * sizes == pytest.approx([337, 337, 337], rel=1e-4)


def test_mixup_blends_photos_and_labels(version, config):
    settings = dataclasses.replace(config, mixup=0.8, crop=1.0, color_jitter=0.0, flip=0.0)
    plain = dataclasses.replace(settings, mixup=0.0)
    for (images, targets), (own, labels) in zip(
        _batches(version, settings, 3), _batches(version, plain, 3), strict=True
    ):
        share = targets[0, 2]
        assert 0.5 <= share <= 1
        assert np.array_equal(targets[:, 0], labels)
        assert np.array_equal(targets[:, 1], np.roll(labels, 1))
        expected = share * own + (1 - share) * np.roll(own.astype(float), 1, axis=0)
        np.testing.assert_allclose(images, expected, atol=0.51)
    resumed = _batches(version, settings, 1, TrainingPosition(0, 2))
    assert np.array_equal(resumed[0][1], targets)


def test_a_cache_gives_the_same_batches(version, config, tmp_path):
    cached = dataset.find(version.folder, str(tmp_path / "cache"))
    assert _equal(_batches(version, config, 7), _batches(cached, config, 7))
    copies = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert {path.name for path in copies} == {
        "gld2-train.tfrecord-00000-of-00002",
        "gld2-train.tfrecord-00001-of-00002",
    }
    stamps = [path.stat().st_mtime_ns for path in copies]
    cached.shards("train")
    assert [path.stat().st_mtime_ns for path in copies] == stamps


def test_fewer_photos_than_a_batch(tmp_path, config):
    version = dataset.find(str(write_version(tmp_path / "v", photos(0, 3), [])))
    ((images, labels),) = _batches(version, config, 1)
    assert images.shape == (3, 32, 32, 3)
    assert sorted(labels) == [0, 1, 2]
    assert input_pipeline.steps_per_epoch(version, config) == 1


def test_evaluation_gives_each_photo_once(version, config):
    batches = list(input_pipeline.evaluation(version, config, "validation"))
    assert [len(labels) for _, labels, _ in batches] == [4, 3]
    ids = [name.decode() for _, _, names in batches for name in names.numpy()]
    assert ids == [f"{number:016x}" for number in range(100, 107)]


@pytest.mark.parametrize("strength", [0.005, 0.05, 0.2, 1.0, 10.0])
def test_mixup_shares_come_from_beta(strength):
    photo, labels = tf.zeros([2, 1, 1, 3], tf.uint8), tf.constant([0, 1], tf.int64)
    step = tf.function(
        lambda n: input_pipeline.blend(photo, labels, tf.stack([n, 7]), strength)[1][0, 2]
    )
    found = np.sort([step(tf.constant(n, tf.int64)) for n in range(2000)])
    beta = np.random.default_rng(0).beta(strength, strength, 200_000)
    expected = np.sort(np.maximum(beta, 1 - beta).astype(np.float32))
    assert found.min() >= 0.5 and found.max() <= 1
    # Kolmogorov and Smirnov's distance; 2,000 draws stray by 0.036 once in a hundred times.
    below = np.searchsorted(expected, found, side="right") / len(expected)
    above = np.searchsorted(expected, found, side="left") / len(expected)
    place = np.arange(2000) / 2000
    assert max((above - place).max(), (place - below).max()) < 0.05
