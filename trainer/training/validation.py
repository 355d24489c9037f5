"""Predicts the validation split after each epoch, and computes its metrics."""

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
class ValidationPredictions:
    """The top class of each photo of a validation split, with its true class.

    Attributes:
      ids: [photos] str.
      labels: [photos] int64, the true class.
      classes: [photos] int, the predicted class.
      scores: [photos] float32, the softmax score of the predicted class.
      losses: [photos] float32, the cross-entropy of the true class.
    """

    ids: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    losses: np.ndarray


@functools.lru_cache(maxsize=1)  # else each `fit` of a run would compile it again
def prediction_model(network: keras.Model) -> keras.Model:
    """Returns a model that finds each photo's top class on the device.

    Of up to 203,094 logits for each photo, only three numbers are copied from the device.

    Args:
      network: from photos to logits.

    Returns:
      The same layers, from [photos, labels [batch] int] to [class, score, loss], each [batch].
    """
    labels = keras.Input((1,), dtype="int32", name="label")
    logs = ops.log_softmax(ops.cast(network.output, "float32"))
    true = ops.squeeze(ops.take_along_axis(logs, labels, axis=1), 1)
    outputs = [ops.argmax(logs, axis=1), ops.exp(ops.max(logs, axis=1)), -true]
    # Replicated on every device, as predict_on_batch reads them on each host.
    gathered = [
        keras.layers.Identity(name=f"{distribution.GATHERED}_{name}", dtype="float32")(output)
        for name, output in zip(("class", "score", "loss"), outputs, strict=True)
    ]
    return keras.Model([network.input, labels], gathered)


def predict(
    model: keras.Model, batches: Iterable, batch_size: int, devices: Devices
) -> ValidationPredictions:
    """Predicts the top class of each photo; no other scores are kept in memory.

    Args:
      model: from `prediction_model`.
      batches: ([batch, size, size, 3], [batch] label, [batch] id) tensors.
      batch_size: number of photos that the model takes at a time; smaller batches are padded.
      devices: every host reads all batches and computes a part of each.
    """
    columns = [
        (
            np.array([name.decode() for name in ids.numpy()]),
            labels.numpy(),
            *_predict_batch(model, photos.numpy(), labels.numpy(), batch_size, devices),
        )
        for photos, labels, ids in batches
    ]
    return ValidationPredictions(*map(np.concatenate, zip(*columns, strict=True)))


def measure(found: ValidationPredictions) -> dict[str, float]:
    """Returns loss, accuracy, GAP, macro precision and recall, and mean true-class probability.

    The keys are METRICS. Precision and recall are means over the classes that occur as truth or as
    prediction; a class that is never predicted has precision 0, one that is never true recall 0.
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
    """A callback that adds METRICS to an epoch's logs, for the callbacks after it.

    For GAP, Keras' own validation would need every score of every photo in memory, or a second pass
    over the split.

    Args:
      network: the network in training.
      batches: as in `predict`.
      batch_size: as in `predict`.
      devices: as in `predict`.
    """

    def __init__(self, network: keras.Model, batches: Iterable, batch_size: int, devices: Devices):
        super().__init__()
        self._prediction_model = prediction_model(network)
        self._batches = batches
        self._batch_size = batch_size
        self._devices = devices

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the epoch's metrics to its logs."""
        assert self.model is not None  # on JAX, reading it copies the weights into the layers
        found = predict(self._prediction_model, self._batches, self._batch_size, self._devices)
        if logs is not None:
            logs.update(measure(found))


def _predict_batch(
    model: keras.Model, photos: np.ndarray, labels: np.ndarray, batch_size: int, devices: Devices
) -> list[np.ndarray]:
    """Returns (class, score, loss) of a batch; pads it, so that no other size is compiled."""
    missing = batch_size - len(photos)
    padded = np.pad(photos, [(0, missing), (0, 0), (0, 0), (0, 0)])
    targets = np.pad(labels.astype(np.int32), (0, missing))[:, np.newaxis]
    part = batch_size // devices.hosts
    mine = slice(devices.host * part, (devices.host + 1) * part)
    inputs = [distribution.to_devices(array[mine], devices) for array in (padded, targets)]
    return [output[: len(photos)] for output in model.predict_on_batch(inputs)]


def _count(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Counts how often each of the sorted classes occurs."""
    return np.bincount(np.searchsorted(classes, values), minlength=len(classes))
