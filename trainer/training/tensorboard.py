"""Logs a run for TensorBoard."""

from __future__ import annotations

import keras


class EpochEvents(keras.callbacks.TensorBoard):
    """Keras' TensorBoard callback, with each epoch's values alone.

    They go to train/ and validation/, under the same tags, so that TensorBoard overlays the two.
    Each is on disk when its epoch's checkpoint is written, in files that no later run writes to.

    Args:
      folder: the folder of both.
    """

    async_safe = True  # it does nothing at a step's end: Keras need not wait for the step's values

    def __init__(self, folder: str) -> None:
        super().__init__(folder, write_graph=False)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the epoch's events; epochs count from 1, as in history.csv."""
        super().on_epoch_end(epoch + 1, logs)
