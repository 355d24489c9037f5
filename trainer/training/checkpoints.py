"""Saves the state of training after and within epochs, and restores it.

keras.callbacks.BackupAndRestore is not used: it overwrites two files in place, the weights and the
epoch's number, so that a kill between the two repeats an epoch, and a kill while writing loses the
state. Here the position is part of the file's name, and the name appears only when the file is
complete. The file also holds what Keras' does not: the state of random layers, and the loss and
metrics of the epoch so far.
"""

from __future__ import annotations

import re
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.common.errors import UserError
from trainer import distribution, gfile
from trainer.position import START, TrainingPosition

_NAME = re.compile(r"epoch-(\d+)-step-(\d+)\.npz\Z")
_KEPT = 2
_SECONDS = "seconds"  # key of an epoch's time so far, beside its loss and metrics


def latest(folder: str) -> TrainingPosition:
    """Returns the position of the newest checkpoint; START where there is none."""
    return max(_positions(folder), default=START)


def restore(network: keras.Model, folder: str, position: TrainingPosition) -> dict[str, float]:
    """Loads weights, optimizer and random state from the checkpoint of a position.

    Args:
      network: compiled as when it was saved.
      folder: the folder of checkpoints.
      position: of an existing checkpoint.

    Returns:
      Loss, metrics and seconds of the epoch's steps up to there, for `WholeEpochs`.

    Raises:
      UserError: the file is damaged or of another network.
    """
    path = _path(folder, position)
    variables = _state(network)
    with gfile.reaching(path), tempfile.TemporaryDirectory() as local:
        copy = Path(local) / "state.npz"
        tf.io.gfile.copy(path, str(copy))
        values = _values(copy, path)
    # np.load returns the arrays in the order in which they were saved.
    state = [values.pop(name) for name in list(values) if name.startswith("arr_")]
    if [value.shape for value in state] != [tuple(v.shape) for v in variables]:
        raise UserError(f"{path} holds the state of another network: give another --job_dir")
    if position.step and "loss" not in values:
        raise _damaged(path, "without the loss of its epoch so far")
    for variable, value in zip(variables, state, strict=True):
        variable.assign(value)
    return {name: float(value) for name, value in values.items()}


def _values(copy: Path, path: str) -> dict[str, np.ndarray]:
    """Reads the arrays of a checkpoint's local copy; errors name its original path."""
    try:
        with np.load(copy) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from None


def _damaged(path: str, why: object) -> UserError:
    return UserError(
        f"{path} is damaged ({why}): remove it to continue from the checkpoint before it"
    )


def save(
    network: keras.Model,
    folder: str,
    position: TrainingPosition,
    measured: Mapping[str, float] | None = None,
    chief: bool = True,
) -> None:
    """Saves a checkpoint and removes all but the last few.

    Every host has to call it, as weights may be split over hosts; only the chief writes.

    Args:
      network: compiled.
      folder: the folder of checkpoints; made where it is missing.
      position: where training is.
      measured: loss, metrics and seconds of the epoch so far; None after a whole epoch.
      chief: whether this host writes.
    """
    values = [distribution.to_numpy(variable) for variable in _state(network)]
    if not chief:
        return
    tf.io.gfile.makedirs(folder)
    unfinished = f"{folder}/unfinished.npz"
    with tempfile.TemporaryDirectory() as local:
        copy = Path(local) / "state.npz"
        np.savez(copy, *values, **(measured or {}))  # type: ignore[arg-type]
        tf.io.gfile.copy(str(copy), unfinished, overwrite=True)
    gfile.publish(unfinished, _path(folder, position))
    for old in sorted(_positions(folder))[:-_KEPT]:
        tf.io.gfile.remove(_path(folder, old))


class WholeEpochs(keras.callbacks.Callback):
    """A callback that makes an interrupted epoch's loss, metrics and time cover all its steps.

    It has to come before the callbacks that read an epoch's logs or add to them. `Checkpoints`
    takes from it what to save, and `History` the time of an epoch.

    Args:
      begin: the position at which this call of `fit` begins.
      measured: what `restore` returned for it; empty at the beginning of an epoch.
    """

    def __init__(self, begin: TrainingPosition, measured: Mapping[str, float]) -> None:
        super().__init__()
        self._begin = begin
        self._measured = measured
        self._began = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the epoch began, without the time between two runs."""
        return time.monotonic() - self._began

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock of an epoch."""
        earlier = self._measured.get(_SECONDS, 0.0) if self.before(epoch) else 0.0
        self._began = time.monotonic() - earlier

    def before(self, epoch: int) -> int:
        """Returns the number of an epoch's steps that were over when `fit` began."""
        return self._begin.step if epoch == self._begin.epoch else 0

    def whole(self, epoch: int, steps: int, values: Mapping[str, float]) -> dict[str, float]:
        """Returns an epoch's means over all its steps so far.

        Args:
          epoch: the epoch.
          steps: number of its steps in this call of `fit`.
          values: means over those steps.
        """
        before = self.before(epoch)
        return {
            name: (before * self._measured[name] + steps * float(value)) / (before + steps)
            if before
            else float(value)
            for name, value in values.items()
        }

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Replaces the epoch's logs by means over all its steps."""
        if logs is not None:
            logs.update(self.whole(epoch, self.params["steps"], logs))


class Checkpoints(keras.callbacks.Callback):
    """A callback that saves a checkpoint after each epoch and every few steps.

    It has to be the last callback, so that the epoch's row of history is written before.

    Args:
      folder: the folder of checkpoints.
      every: number of steps between two checkpoints; 0: only after each epoch.
      epochs: the callback that has the values of the epoch so far.
      chief: whether this host writes.
    """

    def __init__(self, folder: str, every: int, epochs: WholeEpochs, chief: bool = True) -> None:
        super().__init__()
        self._folder = folder
        self._every = every
        self._epochs = epochs
        self._chief = chief
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Saves a checkpoint before a step, where one is due."""
        # Not at a batch's end: Keras would then wait for each step before it begins the next.
        step = self._epochs.before(self._epoch) + batch
        if batch and self._every and step % self._every == 0:
            measured = self._epochs.whole(self._epoch, batch, self.model.get_metrics_result())
            measured[_SECONDS] = self._epochs.seconds
            save(
                self.model, self._folder, TrainingPosition(self._epoch, step), measured, self._chief
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves a checkpoint after the epoch."""
        save(self.model, self._folder, TrainingPosition(epoch + 1), chief=self._chief)


class Reseed(keras.callbacks.Callback):
    """A callback that makes an epoch's dropout depend on (seed, epoch) alone, as its photos do.

    Args:
      seed: the run's seed.
      begin: the position at which this call of `fit` begins. Within an epoch, the state of random
        layers was restored and is kept.
    """

    def __init__(self, seed: int, begin: TrainingPosition) -> None:
        super().__init__()
        self._seed = seed
        self._begin = begin

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Seeds all random layers, unless their state was restored."""
        if epoch == self._begin.epoch and self._begin.step:
            return
        states = [v for v in self.model.variables if v.path.endswith("seed_generator_state")]
        for index, state in enumerate(states):
            words = np.random.SeedSequence([self._seed, epoch, index]).generate_state(2)
            state.assign(words.astype(state.dtype))


def _state(network: keras.Model) -> list[Any]:
    return [*network.variables, *network.optimizer.variables]


def _positions(folder: str) -> list[TrainingPosition]:
    if not tf.io.gfile.isdir(folder):
        return []
    found = map(_NAME.match, tf.io.gfile.listdir(folder))
    return [TrainingPosition(int(match[1]), int(match[2])) for match in found if match]


def _path(folder: str, position: TrainingPosition) -> str:
    return f"{folder}/epoch-{position.epoch:05d}-step-{position.step:07d}.npz"
