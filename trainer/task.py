"""`gld2 train`: the command line."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

from pipelines.schema import UserError
from trainer.config import Config

_EPILOG = """\
examples:
  A small network from ImageNet weights that lie on disk:
    gld2 train --data out/dataset --job_dir out/job \\
        --backbone mobilenet_v2 --alpha 0.35 --weights mobilenet_v2_0.35_no_top.h5
  From nothing, on small photos:
    gld2 train --data out/dataset --job_dir out/job \\
        --backbone mobilenet_v2 --alpha 0.35 --weights none --image_size 96 --epochs 40
  Only a new head on downloaded weights, from and to a bucket:
    gld2 train --data gs://bucket/dataset --job_dir gs://bucket/job --epochs 10,0

what JOB_DIR holds afterwards:
  config.json   every value of the run
  history.csv   loss, accuracy and GAP of each epoch; curves.png draws it, logs/ is for TensorBoard
  checkpoints/  the last epochs; the same command continues from them after an interruption
  export/       saved_model/ (photo bytes in, scores out), model.keras, labels.csv, README.md
"""


class Parser(argparse.ArgumentParser):
    """Its errors are a UserError: one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def main(argv: list[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: flags; the process' own where None.

    Returns:
      0, or 2 where the user can mend what went wrong.
    """
    try:
        settings = parse(argv)
        with quiet():
            # It imports TensorFlow, for which --help and a wrong flag should not wait.
            from trainer import train
        print(_report(train.run(settings)))
    except UserError as error:
        print(f"gld2 train: error: {error}", file=sys.stderr)
        return 2
    return 0


def parse(argv: list[str] | None) -> Config:
    """Flags to a Config; each field of Config is a flag.

    Raises:
      UserError: a flag that is unknown, malformed or out of bounds.
    """
    parser = Parser(
        prog="gld2 train",
        description="Trains a landmark classifier on shards and exports it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for field in dataclasses.fields(Config):
        _add(parser, field)
    return Config(**vars(parser.parse_args(argv)))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """For the import of TensorFlow, whose C++ logs to stderr before it has read its log level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field) -> None:
    text = field.metadata["help"].replace("%", "%%")
    if field.name in ("data", "job_dir"):
        parser.add_argument(f"--{field.name}", required=True, metavar="FOLDER", help=text)
    elif field.name == "epochs":
        parser.add_argument("--epochs", type=_epochs, default=(), metavar="HEAD,FINE", help=text)
    else:
        kind = type(field.default)
        metavar = {int: "N", float: "X", str: "NAME"}[kind]
        parser.add_argument(
            f"--{field.name}",
            type=kind,
            default=field.default,
            metavar=metavar,
            help=f"{text} (default: {field.default})",
        )


def _epochs(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers as in 15,8, found {text!r}") from None


def _report(summary: dict) -> str:
    first = "finished before; nothing to do" if summary["again"] else "finished"
    measured = (
        f"validation: accuracy {summary['val_accuracy']:.4f}, GAP {summary['val_gap']:.4f}, "
        f"precision {summary['val_precision']:.4f}, recall {summary['val_recall']:.4f}"
        if "val_gap" in summary
        else "validation: the dataset has no such split; nothing was measured"
    )
    return "\n".join(
        (
            f"{first}: {summary['images']:,} photos, {summary['classes']:,} classes, "
            f"{summary['parameters']:,} parameters, {summary['epochs']} epochs, "
            f"{summary['seconds']:,.0f} seconds",
            measured,
            f"export: {summary['export']}",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
