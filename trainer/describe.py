"""`gld2 describe`: prints a network's layers, parameters and multiply-adds, by kind of layer."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Sequence

from pipelines.common import cli, quiet, tables
from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import Options, flag
from trainer.config import BACKBONES, NO_WEIGHTS, Config
from trainer.model.complexity import (
    LayerCounts,
    NetworkCounts,
    count_classifier,
    count_layers,
    sum_layers,
)

_NAMES = textwrap.fill(", ".join(BACKBONES), 96, initial_indent="  ", subsequent_indent="  ")
_EPILOG = f"""\
examples:
  Networks as their papers describe them, with 1000 classes:
    gld2 describe mobilenet
    gld2 describe mobilenet_v2 --alpha 0.35
  With GLDv2's number of classes:
    gld2 describe efficientnet_b0 --classes 203094
  A network between B1 and B2, at the resolution that phi gives or at another:
    gld2 describe efficientnet --phi 0.75
    gld2 describe efficientnet --phi 0.75 --image_size 224 --json

backbones:
{_NAMES}

kinds of layers:
  depthwise       a convolution of each channel by itself
  pointwise       a 1x1 convolution
  standard        any other convolution
  squeeze_excite  the two 1x1 convolutions of an EfficientNet's gates, computed on one pooled
                  position; Lite0's gates are fixed open, but are computed too
  dense           the classifier
  other           normalisation, activations, sums: their parameters are counted, their
                  multiply-adds are not

A multiply-add is one multiplication and one addition for one photo; papers often call it a FLOP.
Parameters are counted without the statistics that normalisation layers gather. vgg16 has one dense
layer here, not the paper's three.
"""


@dataclasses.dataclass(frozen=True)
class DescribeOptions(Options):
    """The flags of gld2 describe; the network's flags are checked as gld2 train checks them."""

    backbone: str = flag(
        about="the network; the names are listed below",
        metavar="BACKBONE",
        choices=BACKBONES,
        positional=True,
    )
    alpha: float = flag(1.0, "width multiplier of mobilenet and mobilenet_v2")
    phi: float = flag(0.0, "compound scaling of efficientnet; 0 is B0")
    image_size: int = flag(0, "side of the input, pixels (default: the network's own)", shown="")
    classes: int = flag(1000, "outputs of the classifier", least=1, most=10**9)
    json: bool = flag(False, "print JSON instead of a table")

    @property
    def config(self) -> Config:
        """The configuration of a run with this network.

        Raises:
          UserError: a flag is out of bounds.
        """
        return Config(
            backbone=self.backbone,
            alpha=self.alpha,
            phi=self.phi,
            image_size=self.image_size,
            weights=NO_WEIGHTS,
        )


COMMAND = Command(
    "describe",
    DescribeOptions,
    "Prints a network's layers, parameters and multiply-adds, by kind of layer.",
    _EPILOG,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0.

    Args:
      argv: flags; those of the process where None.

    Raises:
      UserError: a flag is wrong.
    """
    options = COMMAND.parse(argv)
    config = options.config
    with quiet.tensorflow():
        rows = _rows(config, options.classes)
    print((_json if options.json else _text)(rows, config))
    return 0


def _rows(config: Config, classes: int) -> list[LayerCounts]:
    from trainer.model import backbones

    network = backbones.build(
        config.backbone, config.image_size, config.weights, config.alpha, config.phi
    )
    return [*count_layers(network), count_classifier(network.output.shape[-1], classes)]


def _json(rows: list[LayerCounts], config: Config) -> str:
    names = ("backbone", "alpha", "phi", "image_size")
    return json.dumps(
        {
            **{name: getattr(config, name) for name in names},
            "classes": rows[-1].shape[0],
            **dataclasses.asdict(sum_layers(rows)),
            "layers": [dataclasses.asdict(row) for row in rows],
        },
        indent=2,
    )


def _text(rows: list[LayerCounts], config: Config) -> str:
    total = sum_layers(rows)
    return "\n\n".join((_table(rows), _kinds(total), _summary(total, config)))


def _table(rows: list[LayerCounts]) -> str:
    head = ("layer", "kind", "output", "parameters", "multiply-adds")
    cells = (
        (
            row.name,
            row.kind,
            " x ".join(map(str, row.shape)),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
        )
        for row in rows
    )
    return "\n".join(tables.plain([head, *cells], "<<<>>"))


def _kinds(total: NetworkCounts) -> str:
    head = ("kind", "layers", "parameters", "", "multiply-adds", "")
    cells = (
        (
            kind,
            f"{part.layers:,}",
            f"{part.parameters:,}",
            f"{part.parameters / total.parameters:.2%}",
            f"{part.multiply_adds:,}",
            f"{part.multiply_adds / total.multiply_adds:.2%}",
        )
        for kind, part in total.by_kind.items()
    )
    return "\n".join(tables.plain([head, *cells], "<>>>>>"))


def _summary(total: NetworkCounts, config: Config) -> str:
    scales = (("alpha", config.alpha, 1.0), ("phi", config.phi, 0.0))
    flags = "".join(f" --{name} {value:g}" for name, value, usual in scales if value != usual)
    return (
        f"{config.backbone}{flags} at {config.image_size} x {config.image_size}: "
        f"{total.parameters / 1e6:,.2f} million parameters (and {total.averages:,} statistics of "
        f"normalisation layers), {total.multiply_adds / 1e9:,.3f} billion multiply-adds a photo"
    )


if __name__ == "__main__":
    cli.door("describe", "trainer.describe", "trainer")
