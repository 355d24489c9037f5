"""tf.data pipelines over a dataset's shards, for training and for evaluation."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from pipelines.common import schema
from trainer.config import Config
from trainer.data import preprocessing
from trainer.data.dataset import Version
from trainer.position import START, TrainingPosition

_PHOTO = {
    schema.ENCODED: tf.io.FixedLenFeature([], tf.string),
    schema.IMAGE_ID: tf.io.FixedLenFeature([], tf.string),
}
_LABEL = {schema.LABEL: tf.io.FixedLenFeature([], tf.int64)}
_FILES_AT_ONCE = 16
TEST = "test"  # the split whose records have no label


def batch_size(version: Version, config: Config) -> int:
    """Returns the number of photos a step: --batch_size, or all photos where there are fewer."""
    return min(config.batch_size, version.images["train"])


def steps_per_epoch(version: Version, config: Config) -> int:
    """Returns the number of whole batches in an epoch; each epoch leaves out other photos."""
    return version.images["train"] // batch_size(version, config)


def training(
    version: Version, config: Config, begin: TrainingPosition = START, host: int = 0, hosts: int = 1
) -> tf.data.Dataset:
    """Returns endless training batches of random views, epoch after epoch.

    An epoch's order and views depend on (seed, epoch) alone, so that an interrupted run continues
    with the batches that it would have seen.

    Args:
      version: the dataset.
      config: the run.
      begin: the position of the first batch.
      host: index of this host, from 0.
      hosts: number of hosts that share a batch. Each reads its own shards, others in each epoch.

    Returns:
      ([batch / hosts, size, size, 3] uint8, [batch / hosts] int64 label); with mixup, as
      `blend` returns them. Every batch is full.
    """
    steps = steps_per_epoch(version, config)
    batch = batch_size(version, config) // hosts

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        seed = number + config.seed * 1_000_003  # runs of different seeds share no epoch's seed
        # Repeated, as a host's shards, or the balanced records, may be a little less than an epoch.
        records = _shuffled(version, config, seed, host, hosts).repeat().take(steps * batch)
        seen = tf.where(number == begin.epoch, tf.constant(begin.step * batch, tf.int64), 0)
        return records.enumerate().skip(seen).map(lambda index, r: (r, tf.stack([seed, index])))

    view = functools.partial(_random_view, version, config, host)
    batches = (
        tf.data.Dataset.counter(begin.epoch)
        .flat_map(epoch)  # (record, seed)
        .prefetch(tf.data.AUTOTUNE)  # the next epoch is shuffled while this one is decoded
        .map(view, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)  # (photo, label)
        .batch(batch, drop_remainder=True)
    )
    if config.mixup:
        batches = _blended(batches, config, begin.epoch * steps + begin.step)
    return _with_single_threaded_ops(batches.prefetch(tf.data.AUTOTUNE))


def _random_view(
    version: Version, config: Config, host: int, record: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns ([size, size, 3] uint8, int64 label) of a record, by a seed of [2] int64."""
    encoded, label, _ = parse(record, len(version.labels))
    seed += [0, host << 40]  # so that hosts draw different views
    photo = preprocessing.random_view(
        encoded, config.image_size, seed, config.crop, config.color_jitter, config.flip
    )
    return photo, label


def evaluation(version: Version, config: Config, split: str) -> tf.data.Dataset:
    """Returns batches of a split's whole photos, each photo once, in the shards' order.

    Args:
      version: the dataset.
      config: the run.
      split: the split to read; TEST has no labels.

    Returns:
      ([batch, size, size, 3] float32 0-255, [batch] int64 label, 0 where the split has none,
      [batch] string id); the last batch may be smaller.
    """
    labelled = split != TEST

    def view(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded, label, image_id = parse(record, len(version.labels), labelled)
        return preprocessing.whole(encoded, config.image_size), label, image_id

    return _with_single_threaded_ops(
        tf.data.TFRecordDataset(version.shards(split))
        .map(view, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size(version, config))
        .prefetch(tf.data.AUTOTUNE)
    )


def blend(
    images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor, strength: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Blends each photo of a batch with the next one (mixup).

    Source: Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018. The share is drawn
    from Beta(strength, strength), here once for a batch; the photo's own share is the larger one.

    Args:
      images: [batch, size, size, 3] uint8.
      labels: [batch] int64.
      seed: [2] int64.
      strength: over 0; at 1 all shares are equally likely.

    Returns:
      ([batch, size, size, 3] uint8, [batch, 3] float32: label, the other label, own share).
    """
    # A Beta variable is made of two Gamma(a) variables; their logarithms are used, as at small
    # strengths both would underflow to 0. For G from Gamma(a + 1) and U uniform, G * U**(1/a) is
    # Gamma(a). Source: Marsaglia and Tsang, "A simple method for generating gamma variables",
    # ACM TOMS 2000, section 6.
    seeds = tf.random.split(seed, 2)
    larger = tf.random.stateless_gamma([2], seeds[0], alpha=strength + 1.0)
    uniform = 1.0 - tf.random.stateless_uniform([2], seeds[1])  # never 0
    logs = tf.math.log(larger) + tf.math.log(uniform) / strength
    share = tf.sigmoid(tf.abs(logs[0] - logs[1]))
    pixels = tf.cast(images, tf.float32)
    mixed = share * pixels + (1.0 - share) * tf.roll(pixels, 1, axis=0)
    own, other = (tf.cast(each, tf.float32) for each in (labels, tf.roll(labels, 1, axis=0)))
    return tf.saturate_cast(tf.round(mixed), tf.uint8), tf.stack(
        [own, other, tf.fill(tf.shape(own), share)], axis=1
    )


def _with_single_threaded_ops(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Makes each op on a photo run in the one thread that handles the photo.

    Otherwise its loops over pixels would queue behind those of a network on the same CPU, in the
    thread pool that both share.
    """
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    return batches.with_options(options)


def _blended(batches: tf.data.Dataset, config: Config, first: int) -> tf.data.Dataset:
    """Applies mixup to batches; `first` is the run's step of the first of them."""

    def mix(views: tuple[tf.Tensor, tf.Tensor], step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return blend(*views, tf.stack([step, config.seed]), config.mixup)

    return tf.data.Dataset.zip(batches, tf.data.Dataset.counter(first)).map(mix)


def _shuffled(
    version: Version, config: Config, seed: tf.Tensor, host: int, hosts: int
) -> tf.data.Dataset:
    """Returns a host's records of one epoch, shuffled, and balanced where the run asks for it."""
    records = _records(version, seed, host, hosts)
    if config.class_balance:
        records = _balanced(records, version, config.class_balance, seed)
    return records.shuffle(config.shuffle_buffer, seed=seed)


def _records(version: Version, seed: tf.Tensor, host: int, hosts: int) -> tf.data.Dataset:
    """Returns a host's records of one epoch, interleaved from many shards."""
    files = version.shards("train")
    names = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files), seed=seed)
    whole = len(files) % hosts == 0  # else hosts would get very different numbers of photos
    if whole:
        names = names.shard(hosts, host)
    records = names.interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(_FILES_AT_ONCE, len(files)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return records if whole else records.shard(hosts, host)


def _balanced(
    records: tf.data.Dataset, version: Version, power: float, seed: tf.Tensor
) -> tf.data.Dataset:
    """Repeats records of rare classes and drops some of common ones, at random.

    A class of n photos is seen in proportion to n**(1 - power); an epoch keeps about its length.
    """
    times = tf.constant(repetitions([label.images for label in version.labels], power))

    def repeat(index: tf.Tensor, record: tf.Tensor) -> tf.data.Dataset:
        _, label, _ = parse(record, len(version.labels))
        # Rounded up or down at random; the draw depends on (seed, index) alone.
        draw = tf.random.stateless_uniform([], tf.stack([seed, index]))
        count = tf.cast(tf.floor(times[label] + draw), tf.int64)
        return tf.data.Dataset.from_tensors(record).repeat(count)

    return records.enumerate().flat_map(repeat)


def repetitions(sizes: list[int], power: float) -> np.ndarray:
    """Returns how often each photo of a class is seen in an epoch, on average.

    Args:
      sizes: [classes] number of photos.
      power: 0: each photo once; 1: all classes equally often.

    Returns:
      [classes] float32; the mean over all photos is 1.
    """
    counts = np.maximum(np.array(sizes, np.float64), 1)
    weights = counts**-power
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)


def parse(
    record: tf.Tensor, classes: int, labelled: bool = True
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Parses one Example to (encoded bytes, int64 label, id), all scalars.

    Args:
      record: the serialised Example.
      classes: number of classes; a label outside of 0 to classes - 1 fails when the op runs.
      labelled: whether the record has a label; else the label is 0.
    """
    example = tf.io.parse_single_example(record, _PHOTO | (_LABEL if labelled else {}))
    image_id = example[schema.IMAGE_ID]
    if not labelled:
        return example[schema.ENCODED], tf.constant(0, tf.int64), image_id
    label = example[schema.LABEL]
    problem = tf.strings.format(
        "photo {}: label {}, but labels.csv ends at " + str(classes - 1), (image_id, label)
    )
    known = tf.debugging.Assert((label >= 0) & (label < classes), [problem])
    with tf.control_dependencies([known] if known is not None else []):
        return example[schema.ENCODED], tf.identity(label), image_id
