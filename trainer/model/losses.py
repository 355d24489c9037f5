"""The losses that training minimises, and its accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

Loss = Callable[..., keras.KerasTensor]


def smoothed_cross_entropy(smoothing: float) -> Loss:
    """Returns cross-entropy with label smoothing, for integer labels.

    Keras' own label smoothing needs one-hot labels, which for 81,313 classes take more memory than
    the photos.
    Source: Szegedy et al., "Rethinking the Inception architecture", CVPR 2016, section 7.

    Args:
      smoothing: the share of each target spread evenly over all classes, 0 to 1.

    Returns:
      ([batch] int label, [batch, classes] logits) -> [batch] loss.
    """

    def loss(labels, logits):
        logs = ops.log_softmax(logits)
        true = _pick(logs, labels)
        return -(1.0 - smoothing) * true - smoothing * ops.mean(logs, axis=1)

    return loss


def with_margin(loss: Loss, margins: np.ndarray, scale: float) -> Loss:
    """Returns a loss that first adds a margin to the angle between a photo and its true class.

    Source: Deng et al., "ArcFace", CVPR 2019, section 2. Where the angle plus the margin would pass
    180 degrees, the cosine continues as a straight line, so that it keeps falling with the angle.

    Args:
      loss: takes labels and logits.
      margins: [classes] radians.
      scale: the logits are cosines times this.

    Returns:
      ([batch] int label, [batch, classes] logits) -> [batch] loss.
    """

    def wrapped(labels, logits):
        indices = ops.cast(ops.reshape(labels, [-1]), "int32")
        margin = ops.take(ops.convert_to_tensor(margins.astype(np.float32)), indices)
        cosine = ops.clip(_pick(logits, indices) / scale, -1.0, 1.0)
        sine = ops.sqrt(ops.maximum(1.0 - cosine**2, 1e-12))
        turned = cosine * ops.cos(margin) - sine * ops.sin(margin)
        held = ops.where(cosine > -ops.cos(margin), turned, cosine - margin * ops.sin(margin))
        change = ops.expand_dims((held - cosine) * scale, 1)
        is_true = ops.expand_dims(indices, 1) == ops.arange(logits.shape[1], dtype="int32")
        return loss(labels, logits + ops.where(is_true, change, 0.0))

    return wrapped


def margins_by_size(sizes: np.ndarray, bounds: Sequence[float]) -> np.ndarray:
    """Returns a margin for each class, the larger the rarer it is.

    Source: Ha et al., "Google Landmark Recognition 2020 Competition Third Place Solution",
    arXiv 2010.05350: margin = a * size**(-1/4) + b.

    Args:
      sizes: [classes] number of photos.
      bounds: radians: one margin for all classes, or (of the largest class, of the smallest).

    Returns:
      [classes] float32 radians.
    """
    low, high = bounds[0], bounds[-1]
    shrunk = np.maximum(sizes, 1).astype(np.float64) ** -0.25
    span = shrunk.max() - shrunk.min()
    share = (shrunk - shrunk.min()) / span if span else np.zeros_like(shrunk)
    return (low + (high - low) * share).astype(np.float32)


def with_mixup(loss: Loss) -> Loss:
    """Returns the loss of photos blended by mixup: that of both labels, weighted by their shares.

    Args:
      loss: takes labels and logits.

    Returns:
      ([batch, 3] (label, other label, share of the first), [batch, classes] logits) -> [batch]
      loss.
    """

    def wrapped(targets, logits):
        share = targets[:, 2]
        return share * loss(targets[:, 0], logits) + (1.0 - share) * loss(targets[:, 1], logits)

    return wrapped


def is_correct(targets, logits):
    """Returns 1.0 where the top class is the true one, else 0.0: [batch] float32.

    Args:
      targets: [batch] labels; or [batch, 3] of mixup, where the first label is the true one.
      logits: [batch, classes].
    """
    labels = targets[:, 0] if len(targets.shape) == 2 else targets
    best = ops.argmax(logits, axis=1)
    return ops.cast(ops.cast(labels, "int32") == ops.cast(best, "int32"), "float32")


def _pick(values, labels):
    """Returns the value at each row's label: [batch, classes] -> [batch]."""
    indices = ops.expand_dims(ops.cast(ops.reshape(labels, [-1]), "int32"), 1)
    return ops.squeeze(ops.take_along_axis(values, indices, axis=1), 1)
