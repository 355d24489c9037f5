"""Logs a run for TensorBoard."""

from __future__ import annotations

import keras
import tensorflow as tf


class EpochEvents(keras.callbacks.Callback):
    """A callback that logs each epoch's values.

    They go to train/ and validation/, under the same tags, so that TensorBoard overlays the two.
    Each epoch has files of its own, which are complete when its checkpoint is written.

    keras.callbacks.TensorBoard is not used: it waits for each step's values, and it computes the
    learning rate on the devices of one host alone, which hosts of a TPU slice must not do.

    Args:
      folder: the folder of both.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the epoch's events; epochs count from 1, as in history.csv."""
        values = dict(logs or {})
        validated = {name: values.pop(name) for name in list(values) if name.startswith("val_")}
        for split, found in (("train", values), ("validation", validated)):
            with tf.summary.create_file_writer(f"{self._folder}/{split}").as_default(epoch + 1):
                for name, value in found.items():
                    tf.summary.scalar(f"epoch_{name.removeprefix('val_')}", value)
