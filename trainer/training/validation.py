"""What is measured on the validation split after each epoch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from pipelines.common import gap
from trainer import distribution
from trainer.config import METRICS
from trainer.devices import Devices


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The best class of each photo.

    Attributes:
      ids: [photos] str.
      labels: [photos] int64, the true class.
      classes: [photos] int, the predicted class.
      scores: [photos] float32, its softmax score.
      losses: [photos] float32, cross entropy of the true class.
    """

    ids: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    losses: np.ndarray


@functools.lru_cache(maxsize=1)  # each `fit` of a run asks for it, and would compile it anew
def judge(network: keras.Model) -> keras.Model:
    """Finds the best class on the device: of 203,094 logits a photo, three numbers come back.

    Args:
      network: photos to logits.

    Returns:
      The same layers: [photos, labels [batch] int] to [class, score, loss], each [batch].
    """
    labels = keras.Input((1,), dtype="int32", name="label")
    logs = ops.log_softmax(ops.cast(network.output, "float32"))
    true = ops.squeeze(ops.take_along_axis(logs, labels, axis=1), 1)
    outputs = [ops.argmax(logs, axis=1), ops.exp(ops.max(logs, axis=1)), -true]
    # Whole on every device: predict_on_batch reads them on each host.
    gathered = [
        keras.layers.Identity(name=f"{distribution.GATHERED}_{name}", dtype="float32")(output)
        for name, output in zip(("class", "score", "loss"), outputs, strict=True)
    ]
    return keras.Model([network.input, labels], gathered)


def predict(judging: keras.Model, batches: Iterable, batch_size: int, all_of: Devices):
    """Runs a network over photos; only the best class of each is kept in memory.

    Args:
      judging: from `judge`.
      batches: ([batch, size, size, 3], [batch] label, [batch] id) tensors.
      batch_size: photos that the network is given at a time, whatever a batch holds.
      all_of: the devices; every host reads all batches and computes a part of each.

    Returns:
      Predictions.
    """
    columns = [
        (
            np.array([name.decode() for name in ids.numpy()]),
            labels.numpy(),
            *_judged(judging, photos.numpy(), labels.numpy(), batch_size, all_of),
        )
        for photos, labels, ids in batches
    ]
    return Predictions(*map(np.concatenate, zip(*columns, strict=True)))


def measure(found: Predictions) -> dict[str, float]:
    """Loss, accuracy, GAP, macro precision and recall, and mean probability of the true class.

    Named as in METRICS. Precision and recall are means over the classes that occur as truth or as
    prediction; a class that is never predicted, or never true, counts 0.
    """
    correct = found.labels == found.classes
    ranking = gap.rank(found.ids, found.classes, found.scores, correct, len(correct))
    present = np.union1d(found.labels, found.classes)
    hits = _count(found.labels[correct], present)
    values = (
        np.mean(found.losses),
        np.mean(correct),
        ranking.gap,
        np.mean(hits / np.maximum(_count(found.classes, present), 1)),
        np.mean(hits / np.maximum(_count(found.labels, present), 1)),
        np.mean(np.exp(-found.losses)),
    )
    return dict(zip(METRICS, map(float, values), strict=True))


class Validation(keras.callbacks.Callback):
    """Adds METRICS to an epoch's logs, for the callbacks that come after it.

    Keras' own validation would need every score of every photo in memory to find GAP, or a second
    pass over the split.
    """

    def __init__(self, network: keras.Model, batches: Iterable, batch_size: int, all_of: Devices):
        super().__init__()
        self._judging = judge(network)
        self._batches = batches
        self._batch_size = batch_size
        self._devices = all_of

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        assert self.model is not None  # asking for it makes JAX put the weights into the layers
        found = predict(self._judging, self._batches, self._batch_size, self._devices)
        if logs is not None:
            logs.update(measure(found))


def _judged(
    judging: keras.Model, photos: np.ndarray, labels: np.ndarray, batch_size: int, all_of: Devices
) -> list[np.ndarray]:
    """(class, score, loss) of each; a batch is filled up so that nothing is compiled for it."""
    missing = batch_size - len(photos)
    padded = np.pad(photos, [(0, missing), (0, 0), (0, 0), (0, 0)])
    places = np.pad(labels.astype(np.int32), (0, missing))[:, np.newaxis]
    part = batch_size // all_of.hosts
    mine = slice(all_of.host * part, (all_of.host + 1) * part)
    inputs = [distribution.to_devices(array[mine], all_of) for array in (padded, places)]
    return [output[: len(photos)] for output in judging.predict_on_batch(inputs)]


def _count(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How often each of the sorted classes occurs."""
    return np.bincount(np.searchsorted(classes, values), minlength=len(classes))
