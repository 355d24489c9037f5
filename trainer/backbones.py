"""Convolutional networks by name, from keras.applications, for RGB 0-255 input."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras.src.applications.efficientnet import EfficientNet  # Lite0's parts are not public

from pipelines.schema import UserError
from trainer.config import IMAGENET, NO_WEIGHTS

_LITE = "efficientnet_lite0"
_CAFFE_BGR_MEAN = (103.939, 116.779, 123.68)
_IMAGENET_STD = np.array([0.229, 0.224, 0.225])
_OPEN_GATE = 20.0  # sigmoid(20) is 1 in float32


def build(name: str, alpha: float, weights: str, image_size: int) -> keras.Model:
    """A network without its classifier.

    Args:
      name: one of config.BACKBONES.
      alpha: width of the mobilenets.
      weights: 'imagenet', 'none' or the path of a no_top file.
      image_size: side of the input, pixels.

    Returns:
      [batch, size, size, 3] as `scaled` gives it, to [batch, size / 32, size / 32, channels].

    Raises:
      UserError: weights that cannot be had or are of another network.
    """
    shape = (image_size, image_size, 3)
    try:
        backbone = _builder(name, alpha)(
            include_top=False,
            weights=IMAGENET if weights == IMAGENET else None,
            input_shape=shape,
        )
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if weights != IMAGENET:
            raise
        raise UserError(f"--weights imagenet: none for {name}: {_line(error)}") from error
    if name == _LITE:
        _open_gates(backbone)
    if weights not in (IMAGENET, NO_WEIGHTS):
        _load(backbone, name, weights)
    return backbone


def scaled(name: str, photos: keras.KerasTensor) -> keras.KerasTensor:
    """RGB 0-255 [batch, size, size, 3] to what the network was trained on."""
    if name.startswith("efficientnet"):
        return photos  # they rescale inside
    if name.startswith("mobilenet"):
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0)(photos)
    bgr = keras.ops.flip(photos, axis=-1)
    return keras.layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_BGR_MEAN])(bgr)


def freeze(backbone: keras.Model) -> None:
    """Nothing learns."""
    backbone.trainable = False


def unfreeze(backbone: keras.Model, normalisation: bool) -> None:
    """All learns that is meant to.

    Args:
      backbone: from `build`.
      normalisation: whether batch normalisation learns too. Where not, it runs as in inference;
        calling the backbone with training=False would not do it, as Keras 3 lets the outer
        model's `training` overrule that.
    """
    backbone.trainable = True
    frozen = [] if normalisation else _normalisations(backbone)
    if backbone.name == _LITE:
        frozen += _gates(backbone)
    for layer in frozen:
        layer.trainable = False


def set_momentum(backbone: keras.Model, momentum: float) -> None:
    """Sets how slowly batch normalisation's averages follow the batches."""
    for layer in _normalisations(backbone):
        layer.momentum = momentum


def _builder(name: str, alpha: float) -> Callable[..., keras.Model]:
    apps = keras.applications
    if name == _LITE:
        return _efficientnet_lite0
    if name.startswith("efficientnet_"):
        return getattr(apps, "EfficientNet" + name.removeprefix("efficientnet_").upper())
    if name == "mobilenet":
        return lambda **kwargs: apps.MobileNet(alpha=alpha, **kwargs)
    if name == "mobilenet_v2":
        return lambda **kwargs: apps.MobileNetV2(alpha=alpha, **kwargs)
    return {
        "resnet50": apps.ResNet50,
        "resnet101": apps.ResNet101,
        "resnet152": apps.ResNet152,
        "vgg16": apps.VGG16,
    }[name]


def _efficientnet_lite0(**kwargs) -> keras.Model:
    """B0's layout with relu6; its squeeze-excite gates are held open.

    Source: github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
    """
    if kwargs["weights"] == IMAGENET:
        raise ValueError("Keras publishes none; give the path of a file")
    return EfficientNet(1.0, 1.0, 224, activation="relu6", weights_name=None, name=_LITE, **kwargs)


def _normalisations(backbone: keras.Model) -> list[keras.Layer]:
    kind = keras.layers.BatchNormalization
    return [layer for layer in backbone.layers if isinstance(layer, kind)]


def _gates(backbone: keras.Model) -> list[keras.Layer]:
    return [layer for layer in backbone.layers if "_se_" in layer.name and layer.weights]


def _open_gates(backbone: keras.Model) -> None:
    for layer in _gates(backbone):
        kernel, bias = layer.get_weights()
        opened = _OPEN_GATE if layer.name.endswith("expand") else 0.0
        layer.set_weights([np.zeros_like(kernel), np.full_like(bias, opened)])


def _load(backbone: keras.Model, name: str, path: str) -> None:
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file of another network warns for each layer
            copy = Path(folder) / Path(path).name  # Keras reads neither gs:// nor other suffixes
            tf.io.gfile.copy(path, str(copy))
            backbone.load_weights(copy)
    except tf.errors.OpError as error:
        raise UserError(f"--weights {path}: cannot be read: {error.message}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--weights {path} do not fit {name}: {_line(error)}") from error
    if name.startswith("efficientnet"):
        _check_gates(backbone, name, path)
        _mend_normalisation(backbone)


def _check_gates(backbone: keras.Model, name: str, path: str) -> None:
    """Lite0 and B0 have the same layers and shapes; Lite0's gates ignore their input."""
    gates = [gate for gate in _gates(backbone) if gate.name.endswith("expand")]
    is_lite = not any(np.any(gate.get_weights()[0]) for gate in gates)
    if is_lite != (name == _LITE):
        found = "squeeze-excite gates held open" if is_lite else "trained squeeze-excite gates"
        raise UserError(f"--weights {path} do not fit {name}: it is a file with {found}")


def _mend_normalisation(backbone: keras.Model) -> None:
    """Keras' own files hold the deviation where the variance belongs.

    Keras makes up for it by one more layer, but only with weights='imagenet'. Source:
    github.com/tensorflow/tensorflow/issues/49930.
    """
    layer = next(la for la in backbone.layers if isinstance(la, keras.layers.Normalization))
    mean, variance, count = layer.get_weights()
    if np.allclose(variance, _IMAGENET_STD, atol=1e-4):
        layer.set_weights([mean, variance**2, count])
        layer.finalize_state()


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 200 else text[:200] + "..."
