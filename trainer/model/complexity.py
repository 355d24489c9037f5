"""A network's parameters and multiply-adds, counted by layer"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

DEPTHWISE, POINTWISE, STANDARD = "depthwise", "pointwise", "standard"
SQUEEZE_EXCITE, DENSE, OTHER = "squeeze_excite", "dense", "other"
KINDS = (DEPTHWISE, POINTWISE, STANDARD, SQUEEZE_EXCITE, DENSE, OTHER)

# What normalisation measures and no optimizer changes; papers do not count these.
_AVERAGES = ("moving_mean", "moving_variance", "mean", "variance", "count")


@dataclasses.dataclass(frozen=True)
class Layer:
    """A row of the table.

    Attributes:
      name: Keras' name of it.
      kind: one of KINDS.
      shape: of its output, without the batch.
      parameters: that learn.
      averages: numbers that normalisation measures.
      multiply_adds: for one photo.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    averages: int
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class Total:
    """Sums over some layers, as in Layer."""

    layers: int
    parameters: int
    averages: int
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class Counts:
    """Sums over a network; `by_kind` has each of KINDS."""

    parameters: int
    averages: int
    multiply_adds: int
    by_kind: dict[str, Total]


def layers(network: keras.Model) -> list[Layer]:
    """The layers of a built network, those of nested models too, in order.

    Each is counted once: no layer is called twice in our networks.
    """
    rows: list[Layer] = []
    for layer in network.layers:
        if hasattr(layer, "layers"):
            rows += layers(layer)
        else:
            rows.append(_row(layer))
    return rows


def classifier(features: int, classes: int) -> Layer:
    """The row of a dense layer with biases, which at GLDv2's classes is too large to build."""
    return Layer("logits", DENSE, (classes,), (features + 1) * classes, 0, features * classes)


def counts(network: keras.Model) -> Counts:
    """What a built network holds and computes for one photo."""
    return summed(layers(network))


def summed(rows: list[Layer]) -> Counts:
    """The sums of some layers."""
    total = _total(rows)
    by_kind = {kind: _total([row for row in rows if row.kind == kind]) for kind in KINDS}
    return Counts(total.parameters, total.averages, total.multiply_adds, by_kind)


def _row(layer: keras.Layer) -> Layer:
    """Each value of a kernel is used once for each position of the output."""
    shape = tuple(layer.output.shape[1:])
    averages = [weight for weight in layer.weights if weight.name in _AVERAGES]
    return Layer(
        name=layer.name,
        kind=_kind(layer),
        shape=shape,
        parameters=_size(layer.weights) - _size(averages),
        averages=_size(averages),
        multiply_adds=math.prod(shape[:-1]) * _size(_kernels(layer)),
    )


def _kernels(layer: keras.Layer) -> list[keras.Variable]:
    return [weight for weight in layer.weights if len(weight.shape) > 1]


def _size(weights: list[keras.Variable]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _kind(layer: keras.Layer) -> str:
    """By the kernel: a layer of any class that has a matrix is dense."""
    kernels = _kernels(layer)
    if not kernels:
        return OTHER
    if "_se_" in layer.name:
        return SQUEEZE_EXCITE
    if "Depthwise" in type(layer).__name__:
        return DEPTHWISE
    if len(kernels[0].shape) == 2:
        return DENSE
    return POINTWISE if math.prod(kernels[0].shape[:2]) == 1 else STANDARD


def _total(rows: list[Layer]) -> Total:
    return Total(
        layers=len(rows),
        parameters=sum(row.parameters for row in rows),
        averages=sum(row.averages for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
    )
