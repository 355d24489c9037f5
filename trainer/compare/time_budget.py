"""Computes how many epochs fit into some minutes, from a few steps timed before a run.

A run that is stopped when its time is up ends before its learning rate has fallen. Here it gets
fewer epochs instead, so that its schedule ends with the run. The timings are kept, so that a run
that is continued has the same number of epochs as at its start.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from pipelines.common import cli
from pipelines.common.errors import UserError
from pipelines.common.schema import VALIDATION
from trainer import config, devices, distribution, gfile, task
from trainer.config import HEAD, IMAGENET, NO_WEIGHTS, Config, Phase
from trainer.data import dataset, diagnose, input_pipeline
from trainer.data.dataset import Version
from trainer.devices import Devices
from trainer.model import build
from trainer.training import loop, validation

_FEWEST, _MOST, _ENOUGH = 4, 200, 10.0  # steps, and seconds, that are timed
_BATCHES = 4  # number of validation batches that are timed
_SHARE = 0.9  # of the minutes that epochs may fill; the rest is for timings that were too short


@dataclasses.dataclass(frozen=True)
class PhaseTiming:
    """The time that a phase takes.

    Attributes:
      start: seconds taken once, as its first step compiles.
      epoch: seconds per epoch, validation included.
    """

    start: float
    epoch: float


@dataclasses.dataclass(frozen=True)
class Budget:
    """The timings of a run: budget.json in its job folder.

    Attributes:
      config: the settings of the run that was timed, as in config.json.
      paces: the timing of each phase.
    """

    REMEDY: ClassVar[str] = "remove it and run gld2 compare again"

    config: dict[str, Any]
    paces: list[PhaseTiming]


def shortened(settings: Config, paces: list[PhaseTiming], minutes: float) -> Config:
    """Returns the run's settings with as many epochs as fit, phases in proportion.

    Args:
      settings: the run's configuration.
      paces: the timing of each phase.
      minutes: the time that the run may take.

    Raises:
      UserError: one epoch of each phase does not fit.
    """
    phases = settings.phases
    counts = _fitting([phase.last - phase.first for phase in phases], paces, minutes)
    head_epochs, epochs = 0, [0] * len(settings.epochs)
    for phase, count in zip(phases, counts, strict=True):
        if phase.name == HEAD:
            head_epochs = count
        else:
            epochs[phase.dataset] = count
    return dataclasses.replace(settings, head_epochs=head_epochs, epochs=tuple(epochs))


def _fitting(wanted: list[int], paces: list[PhaseTiming], minutes: float) -> list[int]:
    """Returns the epochs of each phase: the largest share of those wanted, at least one."""
    seconds = 60 * minutes * _SHARE
    if _cost(wanted, paces) <= seconds:
        return wanted
    one = _cost([1] * len(wanted), paces)
    if one > seconds:
        raise UserError(
            f"--minutes {minutes:g}: one epoch of each phase takes about {one / 60:.1f} minutes"
        )
    low, high = 0.0, 1.0  # a share that fits, and one that does not
    while high - low > 1e-9:
        middle = (low + high) / 2
        fits = _cost(_counts(wanted, middle), paces) <= seconds
        low, high = (middle, high) if fits else (low, middle)
    return _counts(wanted, low)


def _counts(wanted: list[int], share: float) -> list[int]:
    return [max(1, int(share * epochs)) for epochs in wanted]


def _cost(epochs: list[int], paces: list[PhaseTiming]) -> float:
    return sum(p.start + n * p.epoch for n, p in zip(epochs, paces, strict=True))


def read(settings: Config) -> list[PhaseTiming] | None:
    """Reads the timings of a run; None where there are none, or only of another run."""
    path = _path(settings)
    if not tf.io.gfile.exists(path):
        return None
    found = gfile.read_record(Budget, path)
    if config.differences(json.dumps(found.config), config.dumps(settings, "")):
        return None
    return found.paces


def write(settings: Config, paces: list[PhaseTiming]) -> None:
    """Writes timings to the run's folder."""
    found = Budget(json.loads(config.dumps(settings, "")), paces)
    tf.io.gfile.makedirs(settings.job_dir)
    gfile.write_record(_path(settings), found)


def _path(settings: Config) -> str:
    return f"{settings.job_dir.rstrip('/')}/budget.json"


def measure(settings: Config) -> list[PhaseTiming]:
    """Times a few steps of each phase on real photos."""
    versions = [dataset.find(folder, settings.cache) for folder in settings.data]
    found = devices.find_devices(settings.device)
    paces = []
    for phase in settings.phases:
        keras.utils.clear_session()  # also resets how batches are spread
        used = loop.spread(settings, versions, found)
        version = versions[phase.dataset]
        with distribution.scope(used), diagnose.reading(version):
            paces.append(_time_phase(settings, version, phase, used))
    return paces


def _time_phase(settings: Config, version: Version, phase: Phase, found: Devices) -> PhaseTiming:
    precision = found.precision(settings.precision)
    if settings.weights == IMAGENET:  # a download that does not change the speed
        blank = dataclasses.replace(settings, weights=NO_WEIGHTS, epochs=(1,) * len(settings.data))
    else:
        blank = settings
    network = build.build(blank, len(version.labels), precision)
    steps = input_pipeline.steps_per_epoch(version, settings)
    batch = input_pipeline.batch_size(version, settings)
    build.compile_for(network, settings, phase, steps, batch, version.labels)
    timer = _StepTimer()
    network.fit(
        input_pipeline.training(version, settings),
        steps_per_epoch=_MOST,
        shuffle=False,
        verbose=0,
        callbacks=[timer],
    )
    # The first photos were read while the first step compiled; the later half shows the true cost.
    usual = statistics.fmean(timer.seconds[len(timer.seconds) // 2 :])
    once, each = _validation(network, version, settings, found)
    return PhaseTiming(max(timer.seconds[0] - usual, 0.0) + once, steps * usual + each)


def _validation(
    network: keras.Model, version: Version, settings: Config, found: Devices
) -> tuple[float, float]:
    """Returns the seconds that validation takes once in a phase, and after each epoch."""
    if not version.has_validation:
        return 0.0, 0.0
    prediction_model = validation.prediction_model(network)
    size = input_pipeline.batch_size(version, settings)
    batches = input_pipeline.evaluation(version, settings, VALIDATION)
    count = math.ceil(version.images[VALIDATION] / size)
    timed = min(count, _BATCHES)
    seconds = []
    for part in (1, timed):
        began = time.monotonic()
        validation.predict(prediction_model, batches.take(part), size, found)
        seconds.append(time.monotonic() - began)
    return seconds[0], seconds[1] * count / timed


class _StepTimer(keras.callbacks.Callback):
    """Times each step, and ends `fit` once enough time was measured."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._began = 0.0

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        now = time.monotonic()
        self.seconds.append(now - self._began)
        self._began = now
        if len(self.seconds) >= _FEWEST and sum(self.seconds[1:]) > _ENOUGH:
            self.model.stop_training = True


def main(argv: Sequence[str] | None = None) -> int:
    """Times the run that the command line of `gld2 train` describes; returns 0."""
    settings = task.parse(argv)
    write(settings, measure(settings))
    return 0


if __name__ == "__main__":
    cli.door("compare", "trainer.compare.time_budget", "trainer")
