"""The state of training after an epoch, or within one, to continue from.

keras.callbacks.BackupAndRestore is not used: it writes the weights and the epoch's number to two
files in place, so that a kill between them repeats an epoch, and one within them leaves neither.
Here the place is part of the name, and the name appears only when the file is whole. The file
holds what Keras leaves out of its own: the state of random layers, and the sums from which the
epoch's loss and accuracy come.
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
from trainer.position import START, Place

_NAME = re.compile(r"epoch-(\d+)-step-(\d+)\.npz\Z")
_KEPT = 2
_SECONDS = "seconds"  # of an epoch so far, beside its loss and metrics


def latest(folder: str) -> Place:
    """Where the newest checkpoint stands; the very beginning where there is none."""
    return max(_places(folder), default=START)


def restore(network: keras.Model, folder: str, place: Place) -> dict[str, float]:
    """Loads weights, optimizer and random state as they were at a place.

    Returns:
      Loss, metrics and seconds of the epoch's steps up to there, for `WholeEpochs`.

    Raises:
      UserError: the file is damaged or of another network.
    """
    path = _path(folder, place)
    variables = _state(network)
    with gfile.reaching(path), tempfile.TemporaryDirectory() as local:
        copy = Path(local) / "state.npz"
        tf.io.gfile.copy(path, str(copy))
        values = _values(copy, path)
    # NumPy keeps the order in which the arrays were given to it.
    state = [values.pop(name) for name in list(values) if name.startswith("arr_")]
    if [value.shape for value in state] != [tuple(v.shape) for v in variables]:
        raise UserError(f"{path} holds the state of another network")
    for variable, value in zip(variables, state, strict=True):
        variable.assign(value)
    return {name: float(value) for name, value in values.items()}


def _values(copy: Path, path: str) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint that was copied from `path`."""
    try:
        with np.load(copy) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}): remove it to go on from before it") from None


def save(
    network: keras.Model,
    folder: str,
    place: Place,
    measured: Mapping[str, float] | None = None,
    chief: bool = True,
) -> None:
    """Saves the state, and drops all but the last few. Every host calls it; the chief writes."""
    values = [distribution.to_numpy(variable) for variable in _state(network)]
    if not chief:
        return
    tf.io.gfile.makedirs(folder)
    unfinished = f"{folder}/unfinished.npz"
    with tempfile.TemporaryDirectory() as local:
        copy = Path(local) / "state.npz"
        np.savez(copy, *values, **(measured or {}))  # type: ignore[arg-type]
        tf.io.gfile.copy(str(copy), unfinished, overwrite=True)
    tf.io.gfile.rename(unfinished, _path(folder, place), overwrite=True)
    for old in sorted(_places(folder))[:-_KEPT]:
        tf.io.gfile.remove(_path(folder, old))


class WholeEpochs(keras.callbacks.Callback):
    """Makes an epoch's loss, metrics and time those of all its steps, also where it was cut in two.

    It comes first; `Checkpoints` asks it what to save, and `History` how long an epoch took.

    Args:
      begin: where this call of `fit` begins.
      measured: what `restore` gave for it.
    """

    def __init__(self, begin: Place, measured: Mapping[str, float]) -> None:
        super().__init__()
        self._begin = begin
        self._measured = measured
        self._began = 0.0

    @property
    def seconds(self) -> float:
        """Since the epoch began, without the time between two runs."""
        return time.monotonic() - self._began

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        earlier = self._measured.get(_SECONDS, 0.0) if self.before(epoch) else 0.0
        self._began = time.monotonic() - earlier

    def before(self, epoch: int) -> int:
        """Steps of an epoch that were over when `fit` began."""
        return self._begin.step if epoch == self._begin.epoch else 0

    def whole(self, epoch: int, steps: int, values: Mapping[str, float]) -> dict[str, float]:
        """Means over `steps` steps of this call, and over those that came before."""
        before = self.before(epoch)
        return {
            name: (before * self._measured[name] + steps * float(value)) / (before + steps)
            if before
            else float(value)
            for name, value in values.items()
        }

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            logs.update(self.whole(epoch, self.params["steps"], logs))


class Checkpoints(keras.callbacks.Callback):
    """Saves after each epoch and within it. It comes last, when the epoch's row is written.

    Args:
      folder: where.
      every: steps; 0: only after each epoch.
      epochs: knows the steps that came before.
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
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        # Not at a batch's end: Keras would then wait for each step before it begins the next.
        step = self._epochs.before(self._epoch) + batch
        if batch and self._every and step % self._every == 0:
            measured = self._epochs.whole(self._epoch, batch, self.model.get_metrics_result())
            measured[_SECONDS] = self._epochs.seconds
            save(self.model, self._folder, Place(self._epoch, step), measured, self._chief)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        save(self.model, self._folder, Place(epoch + 1), chief=self._chief)


class Reseed(keras.callbacks.Callback):
    """Makes an epoch's dropout depend on (seed, epoch) alone, as its photos do.

    Args:
      seed: of the run.
      begin: where this call of `fit` begins; within an epoch, its state was restored.
    """

    def __init__(self, seed: int, begin: Place) -> None:
        super().__init__()
        self._seed = seed
        self._begin = begin

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if epoch == self._begin.epoch and self._begin.step:
            return
        states = [v for v in self.model.variables if v.path.endswith("seed_generator_state")]
        for place, state in enumerate(states):
            words = np.random.SeedSequence([self._seed, epoch, place]).generate_state(2)
            state.assign(words.astype(state.dtype))


def _state(network: keras.Model) -> list[Any]:
    return [*network.variables, *network.optimizer.variables]


def _places(folder: str) -> list[Place]:
    if not tf.io.gfile.isdir(folder):
        return []
    found = map(_NAME.match, tf.io.gfile.listdir(folder))
    return [Place(int(match[1]), int(match[2])) for match in found if match]


def _path(folder: str, place: Place) -> str:
    return f"{folder}/epoch-{place.epoch:05d}-step-{place.step:07d}.npz"
