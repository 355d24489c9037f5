"""The state of training after each epoch, to continue from.

keras.callbacks.BackupAndRestore is not used: it writes the weights and the epoch's number to two
files in place, so that a kill between them repeats an epoch, and one within them leaves neither.
Here the number is part of the name, and the name appears only when the file is whole.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

_NAME = re.compile(r"epoch-(\d+)\.weights\.h5\Z")
_KEPT = 2


def latest(folder: str) -> int:
    """Epochs that the newest checkpoint has behind it; 0 where there is none."""
    return max(_epochs(folder), default=0)


def restore(network: keras.Model, folder: str, epoch: int) -> None:
    """Loads weights and optimizer as they were after `epoch` epochs."""
    with tempfile.TemporaryDirectory() as local:
        copy = Path(local) / "state.weights.h5"
        tf.io.gfile.copy(_path(folder, epoch), str(copy))
        network.load_weights(copy)


def save(network: keras.Model, folder: str, epoch: int) -> None:
    """Saves weights and optimizer, and drops all but the last few."""
    tf.io.gfile.makedirs(folder)
    unfinished = f"{folder}/unfinished.weights.h5"
    with tempfile.TemporaryDirectory() as local:
        copy = Path(local) / "state.weights.h5"
        network.save_weights(copy)
        tf.io.gfile.copy(str(copy), unfinished, overwrite=True)
    tf.io.gfile.rename(unfinished, _path(folder, epoch), overwrite=True)
    for old in sorted(_epochs(folder))[:-_KEPT]:
        tf.io.gfile.remove(_path(folder, old))


class Checkpoints(keras.callbacks.Callback):
    """Saves after each epoch. It comes last, when the epoch's row of history is written."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        save(self.model, self._folder, epoch + 1)


class Reseed(keras.callbacks.Callback):
    """Makes an epoch's dropout depend on (seed, epoch) alone, as its photos do.

    Keras leaves the state of its random layers out of a weights file.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        states = [v for v in self.model.variables if v.path.endswith("seed_generator_state")]
        for place, state in enumerate(states):
            words = np.random.SeedSequence([self._seed, epoch, place]).generate_state(2)
            state.assign(words.astype(state.dtype))


def _epochs(folder: str) -> list[int]:
    if not tf.io.gfile.isdir(folder):
        return []
    found = map(_NAME.match, tf.io.gfile.listdir(folder))
    return [int(match[1]) for match in found if match]


def _path(folder: str, epoch: int) -> str:
    return f"{folder}/epoch-{epoch:04d}.weights.h5"
