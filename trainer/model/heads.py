"""The head: pools a backbone's feature map to an embedding, and classifies the embedding."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from trainer.config import ARCFACE, COLUMNS, LOGITS, Config
from trainer.distribution import to_numpy

EMBEDDING = "embedding"  # name of the layer whose output is the embedding
_GEM_POWER = 3.0


def embedding(features: keras.KerasTensor, config: Config) -> keras.KerasTensor:
    """Returns the embedding of a feature map: pooled, projected, standardised, with dropout.

    Each photo's features are standardised, so that one learning rate fits every backbone. Before a
    softmax head they get mean 0 and deviation 1. Before an ArcFace head they get length 1, after
    dropout: only then are its logits cosines.

    Args:
      features: [batch, height, width, channels].
      config: the run.

    Returns:
      [batch, config.embedding] float32, or [batch, channels] where that is 0.
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
    """Pools by the generalised mean (GeM) over height and width, between average and maximum.

    The exponent is fixed at 3: the paper starts from it and learns a value near it. Source:
    Radenović et al., "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2018,
    section 3.1.
    """
    powers = ops.power(ops.maximum(features, 1e-6), _GEM_POWER)
    return ops.power(ops.mean(powers, axis=(1, 2)), 1.0 / _GEM_POWER)


class Classifier(keras.layers.Layer):
    """A layer from embeddings to logits: linear, or cosines to the sub-centres of each class.

    Sources: Deng et al., "ArcFace", CVPR 2019; "Sub-center ArcFace", ECCV 2020, section 3.2: the
    logit of a class is that of its nearest sub-centre. The margin is added in the loss.

    Args:
      classes: number of classes.
      centres: sub-centres of each class.
      scale: factor on the cosines; None for a linear classifier.
      spread: whether to pad the weights to a multiple of COLUMNS columns, so that they can be
        split over devices. The padding does not enter the logits.
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
        """Creates the weights for inputs of [batch, features]."""
        # A class' centres lie side by side, so that each device has whole classes.
        columns = self._columns * self._centres
        # A linear classifier starts at zeros, so that its first step does not depend on the seed;
        # a direction cannot be zero.
        kind = "zeros" if self._scale is None else "glorot_normal"
        self.kernel = self.add_weight(name="kernel", shape=(shape[1], columns), initializer=kind)
        self.bias = (
            self.add_weight(name="bias", shape=(columns,), initializer="zeros")
            if self._scale is None
            else None
        )

    def call(self, embeddings: keras.KerasTensor) -> keras.KerasTensor:
        """Returns [batch, classes] float32 logits of [batch, features] embeddings."""
        if self._scale is None:
            logits = ops.matmul(embeddings, self.kernel) + self.bias
        else:
            logits = ops.matmul(embeddings, _unit(self.kernel)) * self._scale
        if self._centres > 1:
            logits = ops.max(ops.reshape(logits, [-1, self._columns, self._centres]), axis=-1)
        return logits[:, : self.classes]

    def compute_output_shape(self, shape: tuple[int | None, int]) -> tuple[int | None, int]:
        """Returns (batch, classes), from the input's (batch, features)."""
        return (shape[0], self.classes)

    def copy_classes(self, other: Classifier, source: np.ndarray) -> None:
        """Copies the weights of classes from another classifier.

        Args:
          other: built for the same features.
          source: [classes] int: the index of each class in `other`, or -1 for a new one, whose
            weights stay as they are.
        """
        (known,) = np.nonzero(source >= 0)
        for mine, theirs in zip(self.weights, other.weights, strict=True):
            value = np.array(to_numpy(mine)).reshape(*mine.shape[:-1], -1, self._centres)
            old = to_numpy(theirs).reshape(*mine.shape[:-1], -1, self._centres)
            value[..., known, :] = old[..., source[known], :]
            mine.assign(value.reshape(mine.shape))

    def to_plain_layers(self, embeddings: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the same logits from Keras' own layers; an export then needs none of this code.

        Args:
          embeddings: [batch, features].
        """
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
    """Scales each column to length 1."""
    return ops.normalize(kernel, axis=0)
