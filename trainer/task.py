"""Defines `gld2 train`: its command line and its report."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import Any

from pipelines.common import cli, quiet
from pipelines.common.options import command_line
from pipelines.common.options.command_line import Command
from trainer import devices
from trainer.config import Config
from trainer.presets import PRESETS
from trainer.training.outcome import Outcome

_EPILOG = """\
examples:
  A small network from ImageNet weights on disk:
    gld2 train --data out/dataset --job_dir out/job \\
        --backbone mobilenet_v2 --alpha 0.35 --weights mobilenet_v2_0.35_no_top.h5
  The clean photos three times, then all of them once:
    gld2 train --data clean/dataset,full/dataset --job_dir out/job --epochs 3,1
  From random weights, on small photos:
    gld2 train --data out/dataset --job_dir out/job \\
        --backbone mobilenet_v2 --alpha 0.35 --weights none --image_size 96 --epochs 40
  Only a new head on downloaded weights, from and to a bucket:
    gld2 train --data gs://bucket/dataset --job_dir gs://bucket/job --head_epochs 10 --epochs 0
  The network that won on this dataset, on a TPU v3-8:
    gld2 train --data gs://bucket/clean,gs://bucket/full --job_dir gs://bucket/job \\
        --preset winner --device tpu --batch_size 512

what JOB_DIR holds afterwards:
  config.json   every setting of the run
  history.csv   loss, accuracy and GAP of each epoch; curves.png draws it, logs/ is for TensorBoard
  checkpoints/  the latest states; the same command continues from them after an interruption
  export/       saved_model/ (photo bytes in, scores out), model.keras, labels.csv, README.md

presets:
"""


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _preset(name: str) -> str:
    values = (f"--{key} {_word(value)}" for key, value in PRESETS[name].items())
    return textwrap.fill(f"  {name:<9}{' '.join(values)}", 90, subsequent_indent=" " * 11)


COMMAND = Command(
    "train",
    Config,
    "Trains a landmark classifier on shards and exports it.",
    _EPILOG + "\n".join(map(_preset, PRESETS)),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0.

    Args:
      argv: flags; None for the process's own.

    Raises:
      UserError: an error that the user can correct; a TransientError where a retry may succeed.
    """
    settings = parse(argv)
    devices.choose_backend(settings.device)
    with quiet.tensorflow():
        # It imports TensorFlow, which --help and a wrong flag should not wait for.
        from trainer.training import loop
    print(_report(*loop.run(settings)))
    return 0


def parse(argv: Sequence[str] | None) -> Config:
    """Parses flags into a Config, each field of which is a flag.

    Raises:
      UserError: a flag is unknown, malformed or out of bounds.
    """
    given = COMMAND.given(argv)
    preset = PRESETS.get(given.get("preset", ""), {})
    return command_line.build(Config, _fitting(preset, given) | given)


def flags(settings: Config) -> list[str]:
    """Returns the command line that `parse` turns into this Config."""
    values = ((field.name, getattr(settings, field.name)) for field in dataclasses.fields(settings))
    return [f"--{name}={_word(value)}" for name, value in values]


def _fitting(preset: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Fits a preset's epochs to the number of datasets: cuts them, or adds 1 for each more."""
    datasets = len(given["data"])
    epochs = preset.get("epochs", ())
    if not epochs:
        return preset
    return preset | {"epochs": (*epochs, *[1] * datasets)[:datasets]}


def _report(done: Outcome, again: bool) -> str:
    first = "finished before; nothing to do" if again else "finished"
    measured = (
        f"validation: accuracy {done.val_accuracy:.4f}, GAP {done.val_gap:.4f}, "
        f"precision {done.val_precision:.4f}, recall {done.val_recall:.4f}"
        if done.val_gap is not None
        else "validation: the dataset has no validation split; nothing was measured"
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
