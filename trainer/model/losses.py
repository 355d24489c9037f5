"""What the training minimises."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

Loss = Callable[..., keras.KerasTensor]


def smoothed_cross_entropy(smoothing: float) -> Loss:
    """Cross entropy with some of each target spread evenly over all classes.

    Keras' own label smoothing wants one-hot labels, which for 81,313 classes outweigh the photos.
    Source: Szegedy et al., "Rethinking the Inception architecture", CVPR 2016, section 7.

    Args:
      smoothing: the share that is spread, 0 to 1.

    Returns:
      ([batch] int label, [batch, classes] logits) -> [batch] loss.
    """

    def loss(labels, logits):
        logs = ops.log_softmax(logits)
        true = _pick(logs, labels)
        return -(1.0 - smoothing) * true - smoothing * ops.mean(logs, axis=1)

    return loss


def with_margin(loss: Loss, margins: np.ndarray, scale: float) -> Loss:
    """Turns the true class' cosine away by its margin before the loss sees it.

    Source: Deng et al., "ArcFace", CVPR 2019, section 2; where an angle and its margin would pass
    180 degrees, the cosine falls on as a line, so that a worse angle is never a better one.

    Args:
      loss: of labels and logits.
      margins: [classes] radians.
      scale: logits are cosines times this.

    Returns:
      ([batch] int label, [batch, classes] logits) -> [batch] loss.
    """

    def wrapped(labels, logits):
        places = ops.cast(ops.reshape(labels, [-1]), "int32")
        margin = ops.take(ops.convert_to_tensor(margins.astype(np.float32)), places)
        cosine = ops.clip(_pick(logits, places) / scale, -1.0, 1.0)
        sine = ops.sqrt(ops.maximum(1.0 - cosine**2, 1e-12))
        turned = cosine * ops.cos(margin) - sine * ops.sin(margin)
        held = ops.where(cosine > -ops.cos(margin), turned, cosine - margin * ops.sin(margin))
        change = ops.expand_dims((held - cosine) * scale, 1)
        is_true = ops.expand_dims(places, 1) == ops.arange(logits.shape[1], dtype="int32")
        return loss(labels, logits + ops.where(is_true, change, 0.0))

    return wrapped


def margins_by_size(sizes: np.ndarray, bounds: Sequence[float]) -> np.ndarray:
    """A margin for each class: rare ones need more room than common ones.

    Source: Ha et al., "Google Landmark Recognition 2020 Competition Third Place Solution",
    arXiv 2010.05350: margin = a * size**(-1/4) + b.

    Args:
      sizes: [classes] photos.
      bounds: one margin for all, or (of the largest class, of the smallest), radians.

    Returns:
      [classes] float32 radians.
    """
    low, high = bounds[0], bounds[-1]
    shrunk = np.maximum(sizes, 1).astype(np.float64) ** -0.25
    span = shrunk.max() - shrunk.min()
    share = (shrunk - shrunk.min()) / span if span else np.zeros_like(shrunk)
    return (low + (high - low) * share).astype(np.float32)


def mixed(loss: Loss) -> Loss:
    """Of photos that mixup has blended: ([batch, 3] label, other label, share of the first)."""

    def wrapped(targets, logits):
        share = targets[:, 2]
        return share * loss(targets[:, 0], logits) + (1.0 - share) * loss(targets[:, 1], logits)

    return wrapped


def is_best(targets, logits):
    """Whether the class that scores most is the true one; with mixup, the greater part's."""
    labels = targets[:, 0] if len(targets.shape) == 2 else targets
    best = ops.argmax(logits, axis=1)
    return ops.cast(ops.cast(labels, "int32") == ops.cast(best, "int32"), "float32")


def _pick(values, labels):
    """[batch, classes] -> [batch], of each row the label's."""
    places = ops.expand_dims(ops.cast(ops.reshape(labels, [-1]), "int32"), 1)
    return ops.squeeze(ops.take_along_axis(values, places, axis=1), 1)
