"""`gld2 describe`: a network's layers, parameters and multiply-adds, by kind of layer."""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.common import cli, quiet, tables
from pipelines.common.errors import UserError
from trainer import compound_scaling
from trainer.config import BACKBONES, NO_WEIGHTS, Config
from trainer.model.complexity import Counts, Layer, classifier, layers, summed

if TYPE_CHECKING:
    pass

_NAMES = textwrap.fill(", ".join(BACKBONES), 96, initial_indent="  ", subsequent_indent="  ")
_EPILOG = f"""\
examples:
  The networks of the papers, with their 1000 classes:
    gld2 describe mobilenet
    gld2 describe mobilenet_v2 --alpha 0.35
  What GLDv2's classes cost:
    gld2 describe efficientnet_b0 --classes 203094
  Between B1 and B2, at the resolution of its phi or at another:
    gld2 describe efficientnet --phi 0.75
    gld2 describe efficientnet --phi 0.75 --image_size 224 --json

backbones:
{_NAMES}

what the kinds are:
  depthwise       a convolution of each channel by itself
  pointwise       a 1x1 convolution
  standard        any other convolution
  squeeze_excite  the two 1x1 convolutions, on one pooled position, of an EfficientNet's gates;
                  Lite0's are held open, but are there and computed
  dense           the classifier
  other           normalisation, activations, sums: parameters, but no multiply-adds counted

A multiply-add is one multiplication and one addition for one photo; papers often call it a FLOP.
Parameters are those that learn. vgg16 has one dense layer here instead of the paper's three.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: flags; the process' own where None.

    Raises:
      UserError: a flag that is wrong.
    """
    flags = _parser().parse_args(argv)
    config = _config(flags)
    with quiet.tensorflow():
        rows = _rows(config, flags.classes)
    print((_json if flags.json else _text)(rows, config))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        "describe", "A network's layers, parameters and multiply-adds, by kind of layer.", _EPILOG
    )
    add = parser.add_argument
    add("backbone", metavar="BACKBONE", help="the network: see below")
    add("--alpha", type=float, default=1.0, metavar="X", help="width of the mobilenets")
    add("--phi", type=float, default=0.0, metavar="X", help="size of efficientnet: 0 is B0")
    add("--image_size", type=int, metavar="N", help="side of the input, pixels (default: its own)")
    add("--classes", type=int, default=1000, metavar="N", help="of the classifier (default: 1000)")
    add("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _config(flags: argparse.Namespace) -> Config:
    """The checks of the network's flags are those of `gld2 train`.

    Raises:
      UserError: a flag out of bounds.
    """
    if not 1 <= flags.classes <= 10**9:
        raise UserError(f"--classes: expected 1 to {10**9}, found {flags.classes}")
    config = Config(backbone=flags.backbone, alpha=flags.alpha, phi=flags.phi, weights=NO_WEIGHTS)
    size = flags.image_size
    own = compound_scaling.resolution(config.backbone, config.phi)
    return dataclasses.replace(config, image_size=own if size is None else size)


def _rows(config: Config, classes: int) -> list[Layer]:
    from trainer.model import backbones

    network = backbones.build(
        config.backbone, config.image_size, config.weights, config.alpha, config.phi
    )
    return [*layers(network), classifier(network.output.shape[-1], classes)]


def _json(rows: list[Layer], config: Config) -> str:
    names = ("backbone", "alpha", "phi", "image_size")
    return json.dumps(
        {
            **{name: getattr(config, name) for name in names},
            "classes": rows[-1].shape[0],
            **dataclasses.asdict(summed(rows)),
            "layers": [dataclasses.asdict(row) for row in rows],
        },
        indent=2,
    )


def _text(rows: list[Layer], config: Config) -> str:
    total = summed(rows)
    return "\n\n".join((_table(rows), _kinds(total), _summary(total, config)))


def _table(rows: list[Layer]) -> str:
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


def _kinds(total: Counts) -> str:
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


def _summary(total: Counts, config: Config) -> str:
    scales = (("alpha", config.alpha, 1.0), ("phi", config.phi, 0.0))
    flags = "".join(f" --{name} {value:g}" for name, value, usual in scales if value != usual)
    return (
        f"{config.backbone}{flags} at {config.image_size} x {config.image_size}: "
        f"{total.parameters / 1e6:,.2f} million parameters (and {total.averages:,} averages of "
        f"normalisation), {total.multiply_adds / 1e9:,.3f} billion multiply-adds a photo"
    )


if __name__ == "__main__":
    cli.door("describe", "trainer.describe", "trainer")
