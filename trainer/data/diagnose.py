"""Finds the record that ended a run, where an unusable record is the cause."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from pipelines.common.errors import UserError, in_one_line
from pipelines.common.schema import VALIDATION
from trainer.data import input_pipeline, preprocessing
from trainer.data.dataset import Version


@contextlib.contextmanager
def reading(version: Version, *splits: str) -> Iterator[None]:
    """Turns TensorFlow's error into one that names the record, where a record caused it.

    Other errors of TensorFlow are raised as they are.

    Args:
      version: the dataset.
      *splits: those that the block reads; default: train and, where there is one, validation.

    Raises:
      UserError: a record cannot be used; names the shard and the record's number, from 1.
    """
    try:
        yield
    except tf.errors.OpError as error:
        # Keras wraps the error; neither its type nor its first line shows that a record caused it.
        for split in splits or ("train", VALIDATION):
            if version.images.get(split) and (found := _first_bad_record(version, split)):
                raise UserError(found) from error
        raise


def _first_bad_record(version: Version, split: str) -> str | None:
    """Reads shard after shard; returns shard, number and error of the first unusable record."""

    def decoded_shape(record: tf.Tensor) -> tf.Tensor:
        encoded, _, _ = input_pipeline.parse(
            record, len(version.labels), split != input_pipeline.TEST
        )
        decode = preprocessing.decode_jpeg if split == "train" else preprocessing.decode
        return tf.shape(decode(encoded))

    for path in version.shards(split):
        records = iter(tf.data.TFRecordDataset(path).map(decoded_shape, tf.data.AUTOTUNE))
        number = 1
        try:
            while next(records, None) is not None:
                number += 1
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            return f"{path} record {number}: {_reason(error)}"
    return None


def _reason(error: tf.errors.OpError) -> str:
    """Returns the error's message without the names of TensorFlow's graph nodes."""
    asserted = re.search(r"assertion failed: \[(.*?)\]", error.message)
    if asserted:
        return asserted[1].replace('\\"', "")
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message).strip()
    return in_one_line(text.partition("\n")[0]) or "it cannot be read"
