"""The logits of some photos under Keras' backend of this process, from weights in a folder.

`python -m tests.trainer.logits FOLDER NAME...` reads NAME.weights.h5 and writes NAME.npy.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np

from trainer.config import Config
from trainer.model import backbones
from trainer.model.build import build as build_network

SIDE, CLASSES = 64, 7


def photos(count: int) -> np.ndarray:
    """[count, side, side, 3] uint8."""
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def build(name: str) -> keras.Model:
    """A network as it is trained; 'efficientnet 0.5' is one of that phi."""
    backbone, _, phi = name.partition(" ")
    config = Config(backbone=backbone, phi=float(phi or 0), weights="none", image_size=SIDE)
    return build_network(config, CLASSES)


def settle(network: keras.Model) -> None:
    """Gives it weights as after training: none all 0 or 1, and averages of these photos' features.

    Scales are small, as in trained networks, those that end a ResNet's block above all. With 1, a
    random ResNet is badly conditioned: logits of about 10 differed by 0.002 in ResNet-50, and
    float64 was as far from either backend as they were from each other: it is rounding.
    An EfficientNet's mean and variance of its input stay 0 and 1, as a Normalization layer takes
    up new ones only when it loads them.
    """
    generator = np.random.default_rng(1)
    for weight in network.weights:
        if weight.name == "gamma":
            last = "_3_bn" in weight.path
            weight.assign(generator.uniform(0.05, 0.15 if last else 0.6, weight.shape))
        elif weight.name in ("beta", "bias"):
            weight.assign(generator.normal(0, 0.2, weight.shape))
        elif weight.name == "kernel" and not np.any(weight):  # the classifier's
            weight.assign(generator.normal(0, weight.shape[0] ** -0.5, weight.shape))
    backbone = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    backbones.set_momentum(backbone, 0.0)
    network(photos(16), training=True)


def compute(network: keras.Model) -> np.ndarray:
    """[4, classes] float32."""
    return network.predict(photos(4), verbose=0)


def _skip_initial_values() -> None:
    """The file overwrites them, and JAX would compile a program for each shape: a minute for B0."""
    from jax import numpy as jnp
    from keras.src.backend.jax import random

    def zeros(shape, *_, dtype=None, **__):
        return jnp.zeros(shape, dtype)

    random.truncated_normal = random.uniform = random.normal = zeros


def main(folder: str, *names: str) -> None:
    if keras.backend.backend() == "jax":
        _skip_initial_values()
    for name in names:
        network = build(name)
        network.load_weights(Path(folder) / f"{name}.weights.h5")
        np.save(Path(folder) / f"{name}.npy", compute(network))
        keras.backend.clear_session()


if __name__ == "__main__":
    main(*sys.argv[1:])
