"""`gld2 submit`: runs `gld2 train` on a Cloud TPU or on Vertex AI."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Sequence
from typing import Any

from pipelines.common import cli
from pipelines.common.errors import UserError
from trainer import task
from trainer.config import AUTO, IMAGENET, NO_WEIGHTS
from trainer.submit.options import EPILOG, SubmitOptions, parse

HELP = f"""\
usage: gld2 submit {{tpu,vertex}} [flags] -- FLAGS OF gld2 train

Runs gld2 train on a Cloud TPU or on Vertex AI.

{EPILOG}"""
MODULES = {"tpu": "trainer.submit.tpu_vm", "vertex": "trainer.submit.vertex"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: flags; those of the process where None.

    Returns:
      0; with --wait, 1 where training failed.

    Raises:
      UserError: something that the user can correct.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] in (["-h"], ["--help"]):
        print(HELP)
        sys.exit(0)  # as argparse does
    options, flags = parse(words)
    # Only the one that is needed: Vertex AI's client takes four seconds to import.
    target = cli.load(MODULES[words[0]], "submit")
    from trainer.submit import follow  # imports Google's clients, which --help does not need

    with follow.as_user_errors():
        return _submit(options, flags, target)


def _submit(options: SubmitOptions, flags: Sequence[str], target: types.ModuleType) -> int:
    from trainer.submit import follow

    options = prepare(options, flags, target)
    request = target.request(options)
    if options.dry_run:
        print(as_json(request))
        return 0
    run: follow.CloudRun = target.connect(options, request)
    follow.start(run)
    return follow.follow(run, options.attempts, options.poll_seconds) if options.wait else 0


def prepare(
    options: SubmitOptions, flags: Sequence[str], target: types.ModuleType
) -> SubmitOptions:
    """Checks all flags; returns the options completed by the trainer's flags and job folder.

    Args:
      options: the flags of gld2 submit.
      flags: the flags of gld2 train.
      target: the module of MODULES for the service.

    Raises:
      UserError: a flag is wrong.
    """
    device = target.device(options)
    train = ("--device", device, *flags)
    return dataclasses.replace(options, train=train, job_dir=_check_train(train, device))


def as_json(request: Any) -> str:
    """Returns a request as JSON, as the service's REST API takes it, without unset fields."""
    return type(request).to_json(
        request, use_integers_for_enums=False, always_print_fields_with_no_presence=False
    )


def _check_train(flags: Sequence[str], device: str) -> str:
    """Checks the flags of gld2 train as it does itself, and that all paths are on gs://.

    Args:
      flags: the flags of gld2 train.
      device: the --device of the machine.

    Returns:
      The job folder, without a slash at its end.

    Raises:
      UserError: a flag is wrong, or a path is not on gs://.
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
