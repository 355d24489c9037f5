"""tf.data pipelines over a dataset's shards."""

from __future__ import annotations

import re

import tensorflow as tf

from pipelines import schema
from pipelines.schema import UserError
from trainer import photos
from trainer.config import Config
from trainer.dataset import Version

_FEATURES = {
    schema.ENCODED: tf.io.FixedLenFeature([], tf.string),
    schema.IMAGE_ID: tf.io.FixedLenFeature([], tf.string),
    schema.LABEL: tf.io.FixedLenFeature([], tf.int64),
}
_FILES_AT_ONCE = 16


def batch_size(version: Version, config: Config) -> int:
    """Photos a step: all of them where there are fewer than a batch."""
    return min(config.batch_size, version.images["train"])


def steps_per_epoch(version: Version, config: Config) -> int:
    """Whole batches in an epoch; which photos are left over changes with each epoch."""
    return version.images["train"] // batch_size(version, config)


def training(version: Version, config: Config, first_epoch: int = 0) -> tf.data.Dataset:
    """Endless batches of random views, epoch after epoch.

    An epoch's order and views depend on (seed, epoch) alone, so that a run that was cut off
    continues with what it would have seen.

    Args:
      version: the dataset.
      config: the run.
      first_epoch: where to begin.

    Returns:
      ([batch, size, size, 3] float32 0-255, [batch] int64 label); every batch is full.
    """
    files = version.shards("train")
    batch = batch_size(version, config)
    photos_an_epoch = steps_per_epoch(version, config) * batch

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        seed = number + config.seed * 1_000_003  # two seeds' epochs do not meet
        names = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files), seed=seed)
        records = names.interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(_FILES_AT_ONCE, len(files)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        records = records.shuffle(config.shuffle_buffer, seed=seed).take(photos_an_epoch)
        return records.enumerate().map(lambda place, record: (record, tf.stack([seed, place])))

    def view(record: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        encoded, label, _ = _parse(record, len(version.labels))
        photo = photos.augmented(
            encoded, config.image_size, seed, config.crop, config.colour, config.flip
        )
        return photo, label

    return (
        tf.data.Dataset.counter(first_epoch)
        .flat_map(epoch)  # (record, seed)
        .map(view, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)  # (photo, label)
        .batch(batch, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def evaluation(version: Version, config: Config, split: str) -> tf.data.Dataset:
    """A labelled split's whole photos once, in the shards' order.

    Returns:
      ([batch, size, size, 3] float32 0-255, [batch] int64 label, [batch] string id); the last
      batch holds what is left.
    """

    def view(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        encoded, label, image_id = _parse(record, len(version.labels))
        return photos.whole(encoded, config.image_size), label, image_id

    return (
        tf.data.TFRecordDataset(version.shards(split))
        .map(view, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(config.batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def user_error(error: tf.errors.OpError, version: Version) -> UserError | None:
    """What a user should read where reading the shards failed; None where it was something else."""
    message = error.message or ""
    asserted = re.search(r"assertion failed: \[(.*?)\]", message)
    if asserted:
        plain = asserted[1].replace('\\"', "")
        return UserError(f"{version.folder}: {plain}")
    if isinstance(error, tf.errors.DataLossError) or "IteratorGetNext" in message:
        return UserError(f"{version.folder}: a record cannot be read: {_first_line(message)}")
    return None


def _parse(record: tf.Tensor, classes: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One Example to (encoded, label, id)."""
    example = tf.io.parse_single_example(record, _FEATURES)
    label, image_id = example[schema.LABEL], example[schema.IMAGE_ID]
    problem = tf.strings.format(
        "photo {}: label {}, but labels.csv ends at " + str(classes - 1), (image_id, label)
    )
    known = tf.debugging.Assert((label >= 0) & (label < classes), [problem])
    with tf.control_dependencies([known] if known is not None else []):
        return example[schema.ENCODED], tf.identity(label), image_id


def _first_line(message: str) -> str:
    text = re.sub(r"\{\{.*?\}\}", "", message).strip()
    return text.splitlines()[0].strip() if text else "unknown reason"
