"""Convolutional networks by name, from keras.applications, for RGB 0-255 input."""

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
from keras.src.applications.efficientnet import EfficientNet  # its parts are not public

from pipelines.common.errors import UserError, in_one_line
from trainer import compound_scaling, gfile
from trainer.config import IMAGENET, NO_WEIGHTS

_LITE = "efficientnet_lite0"
_CAFFE_BGR_MEAN = (103.939, 116.779, 123.68)
_IMAGENET_STD = np.array([0.229, 0.224, 0.225])
_OPEN_GATE = 20.0  # sigmoid(20) is 1 in float32


def build(
    name: str, image_size: int, weights: str, alpha: float = 1.0, phi: float = 0.0
) -> keras.Model:
    """A network without its classifier.

    Args:
      name: one of config.BACKBONES.
      image_size: side of the input, pixels.
      weights: 'imagenet', 'none' or the path of a no_top file.
      alpha: width of the mobilenets.
      phi: compound scaling of `efficientnet`.

    Returns:
      [batch, size, size, 3] as `scaled` gives it, to [batch, size / 32, size / 32, channels].

    Raises:
      UserError: weights that cannot be had or are of another network.
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
        raise UserError(f"--weights imagenet: none for {name}: {in_one_line(error)}") from error
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
        # On several GPUs too, a batch is all of it and not a device's part, as it is on JAX.
        layer.synchronized = tf.distribute.has_strategy()


def _builder(name: str, alpha: float, phi: float) -> Callable[..., keras.Model]:
    apps = keras.applications
    if name == compound_scaling.COMPOUND:
        scale = compound_scaling.compound(phi)
        return functools.partial(_efficientnet, name, scale.width, scale.depth)
    if name == _LITE:  # B0's layout; source: github.com/tensorflow/tpu, efficientnet/lite
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
    """A network of B0's layout that Keras has no function for."""
    if kwargs["weights"] == IMAGENET:
        raise ValueError("Keras publishes none; give 'none' or the path of a file")
    size = kwargs["input_shape"][0]
    return EfficientNet(width, depth, size, weights_name=None, name=name, **kwargs)


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
    if tf.io.gfile.isdir(path):
        raise UserError(f"--weights {path}: expected a file of weights, found a folder")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file of another network warns for each layer
        copy = Path(folder) / "copy.h5"  # Keras does not read gs://
        with gfile.reaching(f"--weights {path}", "read"):
            tf.io.gfile.copy(path, str(copy))
        try:
            backbone.load_weights(copy.rename(copy.with_suffix(_layout(backbone, copy))))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"--weights {path} do not fit {name}: {in_one_line(error)}") from error
    if name.startswith("efficientnet"):
        _check_gates(backbone, name, path)
        _mend_normalisation(backbone)


def _layout(backbone: keras.Model, path: Path) -> str:
    """The suffix by which Keras knows how a file of weights is laid out, whatever its name.

    Raises:
      ValueError: it is none, or its arrays are not the network's. Keras itself takes the new
        layout's layers by their order and is content when there are more of them in the file.
    """
    if not h5py.is_hdf5(path):
        raise ValueError("expected an HDF5 file of weights alone (.h5 or .weights.h5)")
    with h5py.File(path, "r") as file:
        places = (file.get("layers"), file.get("model_weights"), file)
        root = next(place for place in places if isinstance(place, h5py.Group))
        found = Counter(_shapes(root))
        suffix = ".weights.h5" if root.name == "/layers" else ".h5"
    wanted = Counter(tuple(weight.shape) for weight in backbone.weights)
    if found != wanted:
        raise ValueError(_difference(wanted, found))
    return suffix


def _shapes(group: h5py.Group) -> list[tuple[int, ...]]:
    """Of all arrays below a group but the states of random generators, which are no weights."""
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
    return f"{text}; too many of shape {next(iter(extra))}: a classifier's, perhaps"


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
