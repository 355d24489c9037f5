"""Counts a network's parameters and multiply-adds, layer by layer."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

DEPTHWISE, POINTWISE, STANDARD = "depthwise", "pointwise", "standard"
SQUEEZE_EXCITE, DENSE, OTHER = "squeeze_excite", "dense", "other"
KINDS = (DEPTHWISE, POINTWISE, STANDARD, SQUEEZE_EXCITE, DENSE, OTHER)

# Statistics that normalisation layers gather, and no optimizer changes; papers do not count them.
_AVERAGES = ("moving_mean", "moving_variance", "mean", "variance", "count")


@dataclasses.dataclass(frozen=True)
class LayerCounts:
    """The parameters, statistics and multiply-adds of one layer.

    Attributes:
      name: the layer's name in Keras.
      kind: one of KINDS.
      shape: of the output, without the batch.
      parameters: number of parameters, without `averages`; frozen ones count too.
      averages: number of statistics that a normalisation layer gathers.
      multiply_adds: for one photo.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    averages: int
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class KindCounts:
    """Sums over the layers of one kind.

    Attributes:
      layers: number of layers.
      parameters: as in LayerCounts.
      averages: as in LayerCounts.
      multiply_adds: as in LayerCounts.
    """

    layers: int
    parameters: int
    averages: int
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class NetworkCounts:
    """Sums over all layers of a network.

    Attributes:
      parameters: as in LayerCounts.
      averages: as in LayerCounts.
      multiply_adds: as in LayerCounts.
      by_kind: the sums of each of KINDS.
    """

    parameters: int
    averages: int
    multiply_adds: int
    by_kind: dict[str, KindCounts]


def count_layers(network: keras.Model) -> list[LayerCounts]:
    """Counts each layer of a built network in order, those of nested models included.

    Each layer is counted once: no network of this package calls a layer twice.
    """
    rows: list[LayerCounts] = []
    for layer in network.layers:
        if hasattr(layer, "layers"):
            rows += count_layers(layer)
        else:
            rows.append(_row(layer))
    return rows


def count_classifier(features: int, classes: int) -> LayerCounts:
    """Counts a dense layer with biases without building it: at GLDv2's classes it is too large."""
    return LayerCounts("logits", DENSE, (classes,), (features + 1) * classes, 0, features * classes)


def count_network(network: keras.Model) -> NetworkCounts:
    """Counts the parameters and multiply-adds of a built network, for one photo."""
    return sum_layers(count_layers(network))


def sum_layers(rows: list[LayerCounts]) -> NetworkCounts:
    """Sums the counts of layers, in all and for each kind."""
    total = _total(rows)
    by_kind = {kind: _total([row for row in rows if row.kind == kind]) for kind in KINDS}
    return NetworkCounts(total.parameters, total.averages, total.multiply_adds, by_kind)


def _row(layer: keras.Layer) -> LayerCounts:
    """Counts one layer; each value of a kernel is used once for each position of the output."""
    shape = tuple(layer.output.shape[1:])
    averages = [weight for weight in layer.weights if weight.name in _AVERAGES]
    return LayerCounts(
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
    """Returns the kind by the kernel's shape: any layer with a matrix as its kernel is dense."""
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


def _total(rows: list[LayerCounts]) -> KindCounts:
    return KindCounts(
        layers=len(rows),
        parameters=sum(row.parameters for row in rows),
        averages=sum(row.averages for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
    )
