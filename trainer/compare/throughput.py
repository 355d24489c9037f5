"""Measures a network's size, and its speed on one fixed batch."""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np

from pipelines.common.labels import Label
from trainer import distribution
from trainer.config import NO_WEIGHTS, Config
from trainer.devices import Devices
from trainer.model import build, complexity
from trainer.training import validation

_WARM = 2  # untimed steps; the first compiles
_FEWEST, _MOST, _ENOUGH = 5, 50, 5.0  # timed steps, at least and at most; seconds that suffice
_SOME = "some"  # stands for any pretrained weights, as speed does not depend on them
_PHASE = 1000  # steps of the learning-rate schedule; speed does not depend on them


@dataclasses.dataclass(frozen=True)
class Speed:
    """Size and speed of a network, its classifier included.

    Attributes:
      parameters: number of parameters, without the statistics of normalisation layers.
      multiply_adds: for one photo.
      inference: photos a second, from pixels in memory to the top class.
      training: photos a second where all layers are trained; None where it was not timed.
    """

    parameters: int
    multiply_adds: int
    inference: float
    training: float | None


def speed_settings(settings: Config, batch: int) -> Config:
    """Returns the run's settings with all that speed does not depend on set to fixed values.

    Runs for which this is the same are equally fast, and are timed once.

    Args:
      settings: the run.
      batch: photos in the timed batch.
    """
    return dataclasses.replace(
        settings,
        job_dir="",
        weights=_SOME if settings.pretrained else NO_WEIGHTS,
        batch_size=batch,
        head_epochs=0,
        epochs=(1,) * len(settings.epochs),
        mixup=0.0,
    )


@functools.cache
def measure(settings: Config, labels: tuple[Label, ...], devices: Devices, trains: bool) -> Speed:
    """Builds a network and times it, once for all runs with the same arguments.

    Args:
      settings: from `speed_settings`.
      labels: the classes.
      devices: the available devices; the batch is split over them.
      trains: whether to time training too.
    """
    keras.utils.clear_session()
    spreads = build.spreads_head(settings, len(labels))
    used = distribution.spread(devices, [settings.batch_size], spreads)
    precision = used.precision(settings.precision)
    with distribution.scope(used):
        # Random weights are as fast as others.
        blank = dataclasses.replace(settings, weights=NO_WEIGHTS)
        network = build.build(blank, len(labels), precision)
        phase = settings.phases[-1]
        build.compile_for(network, settings, phase, _PHASE, settings.batch_size, labels)
        predictor = validation.prediction_model(network)
    photos, targets = _batch(settings, len(labels))
    inputs = [distribution.to_devices(array, used) for array in (photos, targets)]
    counts = complexity.count_network(network)
    return Speed(
        parameters=counts.parameters,
        multiply_adds=counts.multiply_adds,
        inference=_rate(lambda: predictor.predict_on_batch(inputs), settings.batch_size),
        training=_rate(lambda: network.train_on_batch(photos, targets[:, 0]), settings.batch_size)
        if trains
        else None,
    )


def _batch(settings: Config, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a random batch, the same for each network of one input size.

    Returns:
      ([batch, size, size, 3] float32 0-255, [batch, 1] int32 label).
    """
    random = np.random.default_rng(0)
    shape = (settings.batch_size, settings.image_size, settings.image_size, 3)
    photos = random.integers(0, 256, shape).astype(np.float32)
    return photos, random.integers(0, classes, (settings.batch_size, 1), np.int32)


def _rate(step: Callable[[], object], photos: int) -> float:
    """Returns photos a second, by the median time of some steps."""
    for _ in range(_WARM):
        step()
    seconds: list[float] = []
    while len(seconds) < _FEWEST or (len(seconds) < _MOST and sum(seconds) < _ENOUGH):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return photos / statistics.median(seconds)
