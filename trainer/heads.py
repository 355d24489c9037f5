"""From a backbone's feature map to logits."""

from __future__ import annotations

import keras

EMBEDDING = "embedding"  # the layer whose output the classifier sees


def softmax(features: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """Average pooling, then a linear classifier.

    The pooled features are standardised photo by photo, so that one learning rate fits every
    backbone; the classifier starts from zero, so that its first step does not depend on luck.

    Args:
      features: [batch, height, width, channels].
      classes: how many.
      dropout: share of the features left out while training.

    Returns:
      [batch, classes] float32 logits.
    """
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    pooled = keras.layers.LayerNormalization(center=False, scale=False, name=EMBEDDING)(pooled)
    pooled = keras.layers.Dropout(dropout, name="dropout")(pooled)
    classifier = keras.layers.Dense(
        classes, kernel_initializer="zeros", dtype="float32", name="logits"
    )
    return classifier(pooled)
