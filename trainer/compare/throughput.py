"""How large a network is and how fast, on one fixed batch."""

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

_WARM = 2  # steps that are not timed: the first compiles
_FEWEST, _MOST, _ENOUGH = 5, 50, 5.0  # steps, and seconds, that are timed
_SOME = "some"  # weights: whichever they are, they are as fast
_PHASE = 1000  # steps of the schedule that an optimizer wants to know; they cost nothing


@dataclasses.dataclass(frozen=True)
class Speed:
    """A network's figures, its classifier included.

    Attributes:
      parameters: that learn.
      multiply_adds: for one photo.
      inference: photos a second, from pixels in memory to the best class.
      training: photos a second when all of it learns; None where that was not asked for.
    """

    parameters: int
    multiply_adds: int
    inference: float
    training: float | None


def subject(settings: Config, batch: int) -> Config:
    """What of a run its speed depends on: runs that share it are as fast."""
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
def measure(of: Config, labels: tuple[Label, ...], found: Devices, trains: bool) -> Speed:
    """Builds a network and times it, once for all runs that share it.

    Args:
      of: from `subject`.
      labels: the classes.
      found: the devices; the batch is spread over them.
      trains: whether to time training too.
    """
    keras.utils.clear_session()
    used = distribution.spread(found, [of.batch_size], build.spreads_head(of, len(labels)))
    precision = used.precision(of.precision)
    with distribution.scope(used):
        blank = dataclasses.replace(of, weights=NO_WEIGHTS)  # random ones are as fast
        network = build.build(blank, len(labels), precision)
        build.compile_for(network, of, of.phases[-1], _PHASE, of.batch_size, labels)
        judging = validation.judge(network)
    photos, places = _batch(of, len(labels))
    inputs = [distribution.to_devices(array, used) for array in (photos, places)]
    counts = complexity.counts(network)
    return Speed(
        parameters=counts.parameters,
        multiply_adds=counts.multiply_adds,
        inference=_rate(lambda: judging.predict_on_batch(inputs), of.batch_size),
        training=_rate(lambda: network.train_on_batch(photos, places[:, 0]), of.batch_size)
        if trains
        else None,
    )


def _batch(of: Config, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """([batch, size, size, 3] float32 0-255, [batch, 1] int32 label), the same for each network."""
    random = np.random.default_rng(0)
    shape = (of.batch_size, of.image_size, of.image_size, 3)
    photos = random.integers(0, 256, shape).astype(np.float32)
    return photos, random.integers(0, classes, (of.batch_size, 1), np.int32)


def _rate(step: Callable[[], object], photos: int) -> float:
    """Photos a second, by the median of some steps."""
    for _ in range(_WARM):
        step()
    seconds: list[float] = []
    while len(seconds) < _FEWEST or (len(seconds) < _MOST and sum(seconds) < _ENOUGH):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return photos / statistics.median(seconds)
