"""From a backbone's feature map to an embedding, and from there to logits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from trainer.config import ARCFACE, COLUMNS, LOGITS, Config
from trainer.distribution import to_numpy

EMBEDDING = "embedding"  # the layer whose output the classifier sees
_GEM_POWER = 3.0


def embedding(features: keras.KerasTensor, config: Config) -> keras.KerasTensor:
    """Pools a feature map, projects it where asked to, standardises it photo by photo, drops out.

    Standardised features let one learning rate fit every backbone. They have mean 0 and deviation
    1 before a softmax head, and length 1 before an ArcFace head, whose features are dropped before
    they are standardised: its logits are cosines only so.

    Args:
      features: [batch, height, width, channels].
      config: the run.

    Returns:
      [batch, --embedding, or else channels] float32.
    """
    features = ops.cast(features, "float32")
    pooled = gem(features) if config.pooling == "gem" else ops.mean(features, axis=(1, 2))
    if config.embedding:
        project = keras.layers.Dense(config.embedding, dtype="float32", name="projection")
        pooled = project(pooled)
    dropout = keras.layers.Dropout(config.dropout, name="dropout")
    if config.head == ARCFACE:
        return keras.layers.UnitNormalization(dtype="float32", name=EMBEDDING)(dropout(pooled))
    standard = keras.layers.LayerNormalization(
        center=False, scale=False, dtype="float32", name=EMBEDDING
    )
    return dropout(standard(pooled))


def gem(features: keras.KerasTensor) -> keras.KerasTensor:
    """Generalised mean over height and width: between average and maximum.

    The exponent is the 3 that the paper starts from and ends near. Source: Radenović et al.,
    "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2018, section 3.1.
    """
    powers = ops.power(ops.maximum(features, 1e-6), _GEM_POWER)
    return ops.power(ops.mean(powers, axis=(1, 2)), 1.0 / _GEM_POWER)


class Classifier(keras.layers.Layer):
    """Embeddings to logits: linear, or cosines with one or several directions for each class.

    Sources: Deng et al., "ArcFace", CVPR 2019; "Sub-center ArcFace", ECCV 2020, section 3.2: a
    class scores with the nearest of its directions. The margin is the loss' business.

    Args:
      classes: how many.
      centres: directions of a class.
      scale: of the cosines; None for a linear classifier.
      spread: whether the weights can be spread over devices: columns are added to come to a
        number that any usual number of devices divides. They are never looked at.
    """

    def __init__(
        self, classes: int, centres: int = 1, scale: float | None = None, spread: bool = False
    ) -> None:
        super().__init__(dtype="float32", name=LOGITS)
        self.classes = classes
        self._centres = centres
        self._scale = scale
        self._columns = -(-classes // COLUMNS) * COLUMNS if spread else classes

    def build(self, shape: tuple[int | None, int]) -> None:
        # A class' centres lie side by side, so that devices can have whole classes.
        columns = self._columns * self._centres
        # Zeros: a linear classifier's first step should not depend on luck. A direction cannot be.
        kind = "zeros" if self._scale is None else "glorot_normal"
        self.kernel = self.add_weight(name="kernel", shape=(shape[1], columns), initializer=kind)
        self.bias = (
            self.add_weight(name="bias", shape=(columns,), initializer="zeros")
            if self._scale is None
            else None
        )

    def call(self, embeddings: keras.KerasTensor) -> keras.KerasTensor:
        """[batch, features] to [batch, classes] float32."""
        if self._scale is None:
            logits = ops.matmul(embeddings, self.kernel) + self.bias
        else:
            logits = ops.matmul(embeddings, _unit(self.kernel)) * self._scale
        if self._centres > 1:
            logits = ops.max(ops.reshape(logits, [-1, self._columns, self._centres]), axis=-1)
        return logits[:, : self.classes]

    def compute_output_shape(self, shape: tuple[int | None, int]) -> tuple[int | None, int]:
        return (shape[0], self.classes)

    def carry(self, other: Classifier, source: np.ndarray) -> None:
        """Takes over classes of another classifier.

        Args:
          other: built for the same features.
          source: [classes] int: which of `other`'s classes each is, or -1 for a new one, which
            stays as it began.
        """
        (known,) = np.nonzero(source >= 0)
        for mine, theirs in zip(self.weights, other.weights, strict=True):
            value = np.array(to_numpy(mine)).reshape(*mine.shape[:-1], -1, self._centres)
            old = to_numpy(theirs).reshape(*mine.shape[:-1], -1, self._centres)
            value[..., known, :] = old[..., source[known], :]
            mine.assign(value.reshape(mine.shape))

    def plain(self, embeddings: keras.KerasTensor) -> keras.KerasTensor:
        """The same logits by Keras' own layers, for an export that needs none of this code."""
        columns = self.classes * self._centres
        weights = [np.array(weight)[..., :columns] for weight in self.weights]
        if self._scale is not None:
            weights[0] = np.array(_unit(weights[0])) * np.float32(self._scale)
        dense = keras.layers.Dense(
            columns, use_bias=self.bias is not None, dtype="float32", name=LOGITS
        )
        logits = dense(embeddings)
        dense.set_weights(weights)
        if self._centres > 1:
            logits = keras.layers.Reshape((self.classes, self._centres), dtype="float32")(logits)
            logits = ops.max(logits, axis=-1)
        return logits


def _unit(kernel: Any) -> Any:
    """Columns of length 1."""
    return ops.normalize(kernel, axis=0)
