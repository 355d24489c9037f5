"""`gld2 submit`: sends `gld2 train` to a Cloud TPU or to Vertex AI."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import types
from collections.abc import Sequence
from typing import Any

from pipelines.common.errors import UserError
from trainer import task
from trainer.config import AUTO, IMAGENET, NO_WEIGHTS
from trainer.submit.options import EPILOG, SubmitOptions, parse

HELP = f"""\
usage: gld2 submit {{tpu,vertex}} [flags] -- FLAGS OF gld2 train

Sends gld2 train to a Cloud TPU or to Vertex AI.

{EPILOG}"""
MODULES = {"tpu": "trainer.submit.tpu_vm", "vertex": "trainer.submit.vertex"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: flags; the process' own where None.

    Returns:
      0; with --wait, 1 where training failed.

    Raises:
      UserError: what the user can mend.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] in (["-h"], ["--help"]):
        print(HELP)
        sys.exit(0)  # as argparse does
    options, flags = parse(words)
    target = _module(words[0])
    from trainer.submit import follow  # Google's clients, for which --help should not wait

    with follow.one_line():
        return _submit(options, flags, target)


def _submit(options: SubmitOptions, flags: Sequence[str], target: types.ModuleType) -> int:
    from trainer.submit import follow

    options = prepare(options, flags, target)
    request = target.request(options)
    if options.dry_run:
        print(as_json(request))
        return 0
    run: follow.Run = target.Run(options, request)
    follow.start(run)
    return follow.follow(run, options.attempts, options.poll_seconds) if options.wait else 0


def prepare(
    options: SubmitOptions, flags: Sequence[str], target: types.ModuleType
) -> SubmitOptions:
    """Checks all that can be known here; returns the options with the trainer's flags.

    Args:
      options: of this command.
      flags: of gld2 train.
      target: the module that sends.

    Raises:
      UserError: a flag that is wrong.
    """
    device = target.device(options)
    train = ("--device", device, *flags)
    return dataclasses.replace(options, train=train, job_dir=_check_train(train, device))


def _module(target: str) -> types.ModuleType:
    """One of the two alone: Vertex AI's client takes four seconds to import."""
    try:
        return importlib.import_module(MODULES[target])
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed; pip install 'gld2[submit]'") from None


def as_json(request: Any) -> str:
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
