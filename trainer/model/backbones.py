"""Builds convolutional networks by name from keras.applications, and loads their weights."""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras.src.applications.efficientnet import EfficientNet  # not public in Keras

from pipelines.common.errors import TransientError, UserError, in_one_line
from trainer import compound_scaling, gfile
from trainer.config import IMAGENET, NO_WEIGHTS

_LITE = "efficientnet_lite0"
_CAFFE_BGR_MEAN = (103.939, 116.779, 123.68)
_IMAGENET_STD = np.array([0.229, 0.224, 0.225])
_OPEN_GATE = 20.0  # sigmoid(20) is 1 in float32


def build(
    name: str, image_size: int, weights: str, alpha: float = 1.0, phi: float = 0.0
) -> keras.Model:
    """Builds a network without its classifier.

    Args:
      name: one of config.BACKBONES.
      image_size: side of the input, pixels.
      weights: 'imagenet', 'none' or the path of a no_top weights file.
      alpha: width multiplier of the mobilenets.
      phi: compound scaling of `efficientnet`.

    Returns:
      A model from [batch, size, size, 3] as `scaled` gives it, to [batch, size / 32, size / 32,
      channels].

    Raises:
      UserError: the weights cannot be downloaded or read, or are of another network.
    """
    try:
        backbone = _builder(name, alpha, phi)(
            include_top=False,
            weights=IMAGENET if weights == IMAGENET else None,
            input_shape=(image_size, image_size, 3),
        )
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if weights != IMAGENET:
            raise
        may_pass = "URL fetch failure" in str(error)  # Keras' words
        raise (TransientError if may_pass else UserError)(
            f"--weights imagenet: not available for {name}; give --weights FILE or --weights none "
            f"({in_one_line(error)})"
        ) from error
    if name == _LITE:
        _open_gates(backbone)
    if weights not in (IMAGENET, NO_WEIGHTS):
        _load(backbone, name, weights)
    return backbone


def scaled(name: str, photos: keras.KerasTensor) -> keras.KerasTensor:
    """Scales RGB 0-255 [batch, size, size, 3] to the range that the network was trained on."""
    if name.startswith("efficientnet"):
        return photos  # it rescales in its own first layers
    if name.startswith("mobilenet"):
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0)(photos)
    bgr = keras.ops.flip(photos, axis=-1)
    return keras.layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_BGR_MEAN])(bgr)


def freeze(backbone: keras.Model) -> None:
    """Freezes all layers."""
    backbone.trainable = False


def unfreeze(backbone: keras.Model, normalisation: bool) -> None:
    """Makes all layers trainable but Lite0's gates, and batch normalisation where asked.

    Args:
      backbone: from `build`.
      normalisation: whether batch normalisation is trained too. Where not, it runs in inference
        mode; calling the backbone with training=False would not do that, as Keras 3 lets the
        outer model's `training` override it.
    """
    backbone.trainable = True
    frozen = [] if normalisation else _normalisations(backbone)
    if backbone.name == _LITE:
        frozen += _gates(backbone)
    for layer in frozen:
        layer.trainable = False


def set_momentum(backbone: keras.Model, momentum: float) -> None:
    """Sets the momentum of batch normalisation's moving averages."""
    for layer in _normalisations(backbone):
        layer.momentum = momentum
        # With several GPUs, averages are of the whole batch, not of a device's part, as on JAX.
        layer.synchronized = tf.distribute.has_strategy()


def _builder(name: str, alpha: float, phi: float) -> Callable[..., keras.Model]:
    apps = keras.applications
    if name == compound_scaling.COMPOUND:
        scale = compound_scaling.compound(phi)
        return functools.partial(_efficientnet, name, scale.width, scale.depth)
    if name == _LITE:  # has B0's layout; source: github.com/tensorflow/tpu, efficientnet/lite
        return functools.partial(_efficientnet, name, 1.0, 1.0, activation="relu6")
    if name.startswith("efficientnet_"):
        return getattr(apps, "EfficientNet" + name.removeprefix("efficientnet_").upper())
    if name == "mobilenet":
        return functools.partial(apps.MobileNet, alpha=alpha)
    if name == "mobilenet_v2":
        return functools.partial(apps.MobileNetV2, alpha=alpha)
    return {
        "resnet50": apps.ResNet50,
        "resnet101": apps.ResNet101,
        "resnet152": apps.ResNet152,
        "vgg16": apps.VGG16,
    }[name]


def _efficientnet(name: str, width: float, depth: float, **kwargs) -> keras.Model:
    """Builds a network of B0's layout that Keras has no function for."""
    if kwargs["weights"] == IMAGENET:
        raise ValueError("Keras publishes none; give --weights none or the path of a file")
    size = kwargs["input_shape"][0]
    return EfficientNet(width, depth, size, weights_name=None, name=name, **kwargs)


def _normalisations(backbone: keras.Model) -> list[keras.Layer]:
    kind = keras.layers.BatchNormalization
    return [layer for layer in backbone.layers if isinstance(layer, kind)]


def _gates(backbone: keras.Model) -> list[keras.Layer]:
    return [layer for layer in backbone.layers if "_se_" in layer.name and layer.weights]


def _open_gates(backbone: keras.Model) -> None:
    """Sets squeeze-excite gates to 1 whatever their input, as Lite0 has none."""
    for layer in _gates(backbone):
        kernel, bias = layer.get_weights()
        opened = _OPEN_GATE if layer.name.endswith("expand") else 0.0
        layer.set_weights([np.zeros_like(kernel), np.full_like(bias, opened)])


def _load(backbone: keras.Model, name: str, path: str) -> None:
    if tf.io.gfile.isdir(path):
        raise UserError(f"--weights {path}: expected a weights file, found a folder")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns for each layer that does not fit
        copy = Path(folder) / "copy.h5"  # Keras does not read gs://
        with gfile.reaching(f"--weights {path}", "read"):
            tf.io.gfile.copy(path, str(copy))
        try:
            backbone.load_weights(copy.rename(copy.with_suffix(_layout(backbone, copy))))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"--weights {path} do not fit {name}: {in_one_line(error)}") from error
    if name.startswith("efficientnet"):
        _check_gates(backbone, name, path)
        _fix_normalisation(backbone)


def _layout(backbone: keras.Model, path: Path) -> str:
    """Returns the suffix by which Keras tells the two layouts of weights files apart.

    Raises:
      ValueError: the file is not HDF5, or its arrays have other shapes than the network's. Keras
        itself takes the layers of the new layout in order and ignores surplus ones.
    """
    if not h5py.is_hdf5(path):
        raise ValueError("expected an HDF5 file of weights only (.h5 or .weights.h5)")
    with h5py.File(path, "r") as file:
        roots = (file.get("layers"), file.get("model_weights"), file)
        root = next(root for root in roots if isinstance(root, h5py.Group))
        found = Counter(_shapes(root))
        suffix = ".weights.h5" if root.name == "/layers" else ".h5"
    wanted = Counter(tuple(weight.shape) for weight in backbone.weights)
    if found != wanted:
        raise ValueError(_difference(wanted, found))
    return suffix


def _shapes(group: h5py.Group) -> list[tuple[int, ...]]:
    """Returns the shapes of a group's arrays, without the states of random generators."""
    shapes = []

    def visit(path: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in path:
            shapes.append(item.shape)

    group.visititems(visit)
    return shapes


def _difference(wanted: Counter, found: Counter) -> str:
    text = f"expected {wanted.total()} arrays, found {found.total()}"
    missing, extra = wanted - found, found - wanted
    if missing:
        return f"{text}; too few of shape {next(iter(missing))}"
    return f"{text}; too many of shape {next(iter(extra))}, perhaps a classifier's"


def _check_gates(backbone: keras.Model, name: str, path: str) -> None:
    """Raises UserError where Lite0 gets B0's weights or B0 Lite0's.

    Both have the same layers and shapes; they differ in the gates, which Lite0 holds open.
    """
    gates = [gate for gate in _gates(backbone) if gate.name.endswith("expand")]
    is_lite = not any(np.any(gate.get_weights()[0]) for gate in gates)
    if is_lite != (name == _LITE):
        found = "squeeze-excite gates fixed open" if is_lite else "trained squeeze-excite gates"
        raise UserError(f"--weights {path} do not fit {name}: the file has {found}")


def _fix_normalisation(backbone: keras.Model) -> None:
    """Replaces the standard deviation by the variance in the input normalisation.

    Keras' published EfficientNet files hold the deviation there; Keras corrects it by an extra
    layer, but only with weights='imagenet'. Source:
    github.com/tensorflow/tensorflow/issues/49930.
    """
    layer = next(la for la in backbone.layers if isinstance(la, keras.layers.Normalization))
    mean, variance, count = layer.get_weights()
    if np.allclose(variance, _IMAGENET_STD, atol=1e-4):
        layer.set_weights([mean, variance**2, count])
        layer.finalize_state()
