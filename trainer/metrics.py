"""What is measured on the validation split after each epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import keras
import numpy as np

from pipelines import gap

METRICS = ("val_loss", "val_accuracy", "val_gap", "val_precision", "val_recall")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The best class of each photo.

    Attributes:
      ids: [photos] str.
      labels: [photos] int64, the true class.
      classes: [photos] int64, the predicted class.
      scores: [photos] float32, its softmax score.
      losses: [photos] float32, cross entropy of the true class.
    """

    ids: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    losses: np.ndarray


def predict(network: keras.Model, batches: Iterable, batch_size: int) -> Predictions:
    """Runs the network over labelled photos; only the best class of each is kept in memory.

    Args:
      network: photos to logits.
      batches: ([batch, size, size, 3], [batch] label, [batch] id) tensors.
      batch_size: photos that the network is given at a time, whatever a batch holds.
    """
    columns = [
        (np.array([name.decode() for name in ids.numpy()]), labels.numpy(), *best)
        for photos, labels, ids in batches
        for best in [_best(_logits(network, photos.numpy(), batch_size), labels.numpy())]
    ]
    return Predictions(*map(np.concatenate, zip(*columns, strict=True)))


def measure(found: Predictions) -> dict[str, float]:
    """Loss, accuracy, GAP, and macro precision and recall, named as in METRICS.

    Precision and recall are means over the classes that occur as truth or as prediction; a class
    that is never predicted, or never true, counts 0.
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
    )
    return dict(zip(METRICS, map(float, values), strict=True))


class Validation(keras.callbacks.Callback):
    """Adds METRICS to an epoch's logs, for the callbacks that come after it.

    Keras' own validation would need every score of every photo in memory to find GAP, or a second
    pass over the split.
    """

    def __init__(self, batches: Iterable, batch_size: int) -> None:
        super().__init__()
        self._batches = batches
        self._batch_size = batch_size

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            logs.update(measure(predict(self.model, self._batches, self._batch_size)))


def _logits(network: keras.Model, photos: np.ndarray, batch_size: int) -> np.ndarray:
    """[photos, classes]; a last, smaller batch is padded so that nothing is compiled for it."""
    missing = [(0, batch_size - len(photos)), (0, 0), (0, 0), (0, 0)]
    return np.asarray(network.predict_on_batch(np.pad(photos, missing)))[: len(photos)]


def _best(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(class, score, loss) of each row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows, classes = np.arange(len(logits)), logits.argmax(axis=1)
    return classes, np.exp(logs[rows, classes]), -logs[rows, labels]


def _count(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How often each of the sorted classes occurs."""
    return np.bincount(np.searchsorted(classes, values), minlength=len(classes))
