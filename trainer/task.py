"""`gld2 train`: the command line."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.common import cli, quiet
from trainer import distribution
from trainer.config import Config
from trainer.presets import PRESETS
from trainer.training.outcome import Outcome

_EPILOG = """\
examples:
  A small network from ImageNet weights that lie on disk:
    gld2 train --data out/dataset --job_dir out/job \\
        --backbone mobilenet_v2 --alpha 0.35 --weights mobilenet_v2_0.35_no_top.h5
  The clean photos three times, then all of them once:
    gld2 train --data clean/dataset,full/dataset --job_dir out/job --epochs 3,1
  From nothing, on small photos:
    gld2 train --data out/dataset --job_dir out/job \\
        --backbone mobilenet_v2 --alpha 0.35 --weights none --image_size 96 --epochs 40
  Only a new head on downloaded weights, from and to a bucket:
    gld2 train --data gs://bucket/dataset --job_dir gs://bucket/job --head_epochs 10 --epochs 0
  What won on this dataset, on a TPU v3-8:
    gld2 train --data gs://bucket/clean,gs://bucket/full --job_dir gs://bucket/job \\
        --preset winner --device tpu --batch_size 512

what JOB_DIR holds afterwards:
  config.json   every value of the run
  history.csv   loss, accuracy and GAP of each epoch; curves.png draws it, logs/ is for TensorBoard
  checkpoints/  the last states; the same command continues from them after an interruption
  export/       saved_model/ (photo bytes in, scores out), model.keras, labels.csv, README.md

presets:
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: flags; the process' own where None.

    Raises:
      UserError: what the user can mend; a TransientError where it may go better the next time.
    """
    settings = parse(argv)
    distribution.choose(settings.device)
    with quiet.tensorflow():
        # It imports TensorFlow, for which --help and a wrong flag should not wait.
        from trainer.training import loop
    print(_report(*loop.run(settings)))
    return 0


def parse(argv: Sequence[str] | None) -> Config:
    """Flags to a Config; each field of Config is a flag.

    Raises:
      UserError: a flag that is unknown, malformed or out of bounds.
    """
    parser = cli.Parser(
        "train",
        "Trains a landmark classifier on shards and exports it.",
        _EPILOG + "\n".join(map(_preset, PRESETS)),
    )
    parser.argument_default = argparse.SUPPRESS
    for field in dataclasses.fields(Config):
        _add(parser, field)
    given = vars(parser.parse_args(argv))
    preset = PRESETS.get(given.get("preset", ""), {})
    return Config(**_fitting(preset, given) | given)


def flags(settings: Config) -> list[str]:
    """The command line that `parse` makes this Config of."""
    values = ((field.name, getattr(settings, field.name)) for field in dataclasses.fields(settings))
    return [f"--{name}={_word(value)}" for name, value in values]


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _preset(name: str) -> str:
    values = (f"--{key} {_word(value)}" for key, value in PRESETS[name].items())
    return textwrap.fill(f"  {name:<9}{' '.join(values)}", 90, subsequent_indent=" " * 11)


def _fitting(preset: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A preset's epochs are cut to the datasets that there are, or made up for by one each."""
    datasets = len(given["data"])
    epochs = preset.get("epochs", ())
    if not epochs:
        return preset
    return preset | {"epochs": (*epochs, *[1] * datasets)[:datasets]}


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field) -> None:
    names = {int: "N", float: "X", str: "NAME"}
    kind, metavar = _KINDS.get(field.name) or (type(field.default), names[type(field.default)])
    default = field.default
    about = field.metadata["help"].replace("%", "%%")
    if field.metadata["choices"]:
        about += f"; one of {', '.join(field.metadata['choices'])}"
    if default not in ("", ()):
        about += f" (default: {_word(default)})"
    parser.add_argument(
        f"--{field.name}",
        type=kind,
        metavar=metavar,
        required=field.name in ("data", "job_dir"),
        help=about,
    )


def _list(kind: Callable[[str], Any], example: str) -> Callable[[str], tuple]:
    def parse_list(text: str) -> tuple:
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"expected numbers as in {example}, found {text!r}"
            ) from None

    return parse_list


_KINDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "data": (lambda text: tuple(text.split(",")), "FOLDER[,FOLDER]"),
    "job_dir": (str, "FOLDER"),
    "cache": (str, "FOLDER"),
    "epochs": (_list(int, "3,1"), "N[,N]"),
    "margin": (_list(float, "0.2,0.5"), "X[,X]"),
}


def _report(done: Outcome, again: bool) -> str:
    first = "finished before; nothing to do" if again else "finished"
    measured = (
        f"validation: accuracy {done.val_accuracy:.4f}, GAP {done.val_gap:.4f}, "
        f"precision {done.val_precision:.4f}, recall {done.val_recall:.4f}"
        if done.val_gap is not None
        else "validation: the dataset has no such split; nothing was measured"
    )
    return "\n".join(
        (
            f"{first}: {done.images:,} photos, {done.classes:,} classes, "
            f"{done.parameters:,} parameters, {done.epochs} epochs, "
            f"{done.seconds:,.0f} seconds",
            measured,
            f"export: {done.export}",
        )
    )


if __name__ == "__main__":
    cli.door("train", "trainer.task", "trainer")
