"""Which record of a dataset cannot be used, where that is what ended a run."""

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
    """Tells what is wrong with a dataset where that is what ended the block.

    Args:
      version: the dataset.
      splits: that the block reads; default: train and, where there is one, validation.

    Raises:
      UserError: naming the shard and the record.
    """
    try:
        yield
    except tf.errors.OpError as error:
        # Of what Keras makes of it, neither the kind nor the first line tells that it was a record.
        for split in splits or ("train", VALIDATION):
            if version.images.get(split) and (found := _fault(version, split)):
                raise UserError(found) from error
        raise


def _fault(version: Version, split: str) -> str | None:
    """The first record that cannot be used, found by reading a shard after the other."""

    def look(record: tf.Tensor) -> tf.Tensor:
        encoded, _, _ = input_pipeline.parse(
            record, len(version.labels), split != input_pipeline.TEST
        )
        decode = preprocessing.decode_jpeg if split == "train" else preprocessing.decode
        return tf.shape(decode(encoded))

    for path in version.shards(split):
        records, number = iter(tf.data.TFRecordDataset(path).map(look, tf.data.AUTOTUNE)), 1
        try:
            while next(records, None) is not None:
                number += 1
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            return f"{path} record {number}: {_reason(error)}"
    return None


def _reason(error: tf.errors.OpError) -> str:
    """Without the names of TensorFlow's nodes."""
    asserted = re.search(r"assertion failed: \[(.*?)\]", error.message)
    if asserted:
        return asserted[1].replace('\\"', "")
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message).strip()
    return in_one_line(text.partition("\n")[0]) or "it cannot be read"
