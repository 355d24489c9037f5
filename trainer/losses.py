"""What the training minimises."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops


def smoothed_cross_entropy(smoothing: float) -> Callable[..., keras.KerasTensor]:
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
        places = ops.expand_dims(ops.cast(ops.reshape(labels, [-1]), "int32"), 1)
        true = ops.squeeze(ops.take_along_axis(logs, places, axis=1), 1)
        return -(1.0 - smoothing) * true - smoothing * ops.mean(logs, axis=1)

    return loss
