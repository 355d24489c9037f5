"""Writes the event files that TensorBoard reads.

keras.callbacks.TensorBoard is not used, as it needs TensorBoard itself, which TensorFlow no longer
installs. Source: tensorflow/core/util/event.proto; an event file is a TFRecord of Event messages.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import keras
import tensorflow as tf

from trainer.config import METRICS


class Events(keras.callbacks.Callback):
    """A callback that logs each epoch's values for TensorBoard.

    They go to train/ and validation/, under the same tags, so that TensorBoard overlays the two.

    Args:
      folder: the folder of both.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the epoch's event files."""
        logs = logs or {}
        measured = {name.removeprefix("val_"): logs[name] for name in METRICS if name in logs}
        trained = {name: value for name, value in logs.items() if name not in METRICS}
        for split, values in (("train", trained), ("validation", measured)):
            if values:
                _write(f"{self._folder}/{split}", epoch + 1, values)


def _write(folder: str, epoch: int, values: Mapping[str, float]) -> None:
    """Writes a file of its own for an epoch, so that an interruption cannot damage earlier ones.

    Files on gs:// cannot be appended to either.
    """
    tf.io.gfile.makedirs(folder)
    now = time.time()
    scalars = [
        tf.compat.v1.Summary.Value(tag=f"epoch_{name}", simple_value=float(value))
        for name, value in values.items()
    ]
    path = f"{folder}/events.out.tfevents.{int(now)}.epoch-{epoch:04d}"
    with tf.io.TFRecordWriter(path) as writer:
        for event in (
            tf.compat.v1.Event(wall_time=now, file_version="brain.Event:2"),
            tf.compat.v1.Event(
                wall_time=now, step=epoch, summary=tf.compat.v1.Summary(value=scalars)
            ),
        ):
            writer.write(event.SerializeToString())
