"""`gld2 submit`: sends `gld2 train` to a Cloud TPU or to Vertex AI."""

from __future__ import annotations

import argparse
import importlib
import sys
import types
from collections.abc import Sequence

import proto

from pipelines.common.errors import UserError
from trainer import task
from trainer.config import AUTO, IMAGENET, NO_WEIGHTS
from trainer.submit import follow
from trainer.submit.options import parse

TARGETS = {"tpu": "trainer.submit.tpu_vm", "vertex": "trainer.submit.vertex"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: flags; the process' own where None.

    Returns:
      0; with --wait, 1 where training failed.

    Raises:
      UserError: what the user can mend.
    """
    args, flags = parse(sys.argv[1:] if argv is None else argv)
    with follow.one_line():
        return _submit(args, flags)


def _submit(args: argparse.Namespace, flags: Sequence[str]) -> int:
    target = _module(args.target)
    request = target.request(prepare(args, flags, target))
    if args.dry_run:
        print(as_json(request))
        return 0
    run: follow.Run = target.Run(args, request)
    follow.start(run)
    return follow.follow(run, args.attempts, args.poll_seconds) if args.wait else 0


def prepare(
    args: argparse.Namespace, flags: Sequence[str], target: types.ModuleType
) -> argparse.Namespace:
    """Checks all that can be known here, and adds `train`, the trainer's flags, and its `job_dir`.

    Raises:
      UserError: a flag that is wrong.
    """
    target.check(args)
    device = target.device(args)
    args.train = ["--device", device, *flags]
    args.job_dir = _check_train(args.train, device)
    return args


def _module(target: str) -> types.ModuleType:
    """One of the two alone: Vertex AI's client takes four seconds to import."""
    try:
        return importlib.import_module(TARGETS[target])
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed; pip install 'gld2[submit]'") from None


def as_json(request: proto.Message) -> str:
    """A request as the service's REST interface would take it, without what is not set."""
    return type(request).to_json(
        request, use_integers_for_enums=False, always_print_fields_with_no_presence=False
    )


def _check_train(flags: Sequence[str], device: str) -> str:
    """Checks the flags of gld2 train as it will, and that they are good on another machine.

    Args:
      flags: of gld2 train.
      device: what that machine is told to use.

    Returns:
      its job_dir.

    Raises:
      UserError: a flag that is wrong, or a path that only this machine has.
    """
    try:
        "".join(flags).encode()
        config = task.parse(list(flags))
    except UnicodeEncodeError:
        raise UserError("flags of gld2 train: expected UTF-8") from None
    except UserError as error:
        raise UserError(f"flags of gld2 train: {error}") from None
    if device != AUTO and config.device not in (device, AUTO):
        raise UserError(
            f"flags of gld2 train: --device {config.device}: the machine has a {device}"
        )
    paths = [("data", path) for path in config.data] + [("job_dir", config.job_dir)]
    if config.weights not in (IMAGENET, NO_WEIGHTS):
        paths.append(("weights", config.weights))
    for name, path in paths:
        if not path.startswith("gs://"):
            raise UserError(f"flags of gld2 train: --{name} {path}: expected gs://")
    return config.job_dir.rstrip("/")


if __name__ == "__main__":
    sys.exit(main())
