"""The flags of each command, checked before a graph is built. Beam's own flags pass through."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
)

from pipelines.common import quiet
from pipelines.common.cli import Parser
from pipelines.common.options import Options

# The engine that DirectRunner ends up with on a laptop; by that name, Beam would
# first try to download another one.
LAPTOP = "FnApiRunner"

BEAM_NOTE = """\
Beam's own flags pass through: --runner=DataflowRunner --project=... --region=...
--temp_location=gs://..., --runner=FlinkRunner, --direct_num_workers=2, and so on.
"""


def parse(
    command: str,
    description: str,
    examples: str,
    groups: Sequence[type[Options]],
    argv: Sequence[str] | None,
) -> tuple[argparse.Namespace, PipelineOptions]:
    """Parses and checks a command's flags.

    Args:
      command: its name, for usage and errors.
      description: what it does, first in --help.
      examples: command lines, last in --help.
      groups: the options classes that it takes.
      argv: flags; None for the process's.

    Returns:
      our flags, and Beam's.

    Raises:
      UserError: an unknown flag, or a value that makes no sense.
    """
    parser = Parser(command, description, f"{BEAM_NOTE}\nexamples:\n{examples}")
    for group in groups:
        group.add_arguments(parser)
    args, rest = parser.parse_known_args(argv)
    unknown = _unknown_to_beam(rest)
    if unknown:
        parser.error(f"unknown flag: {' '.join(unknown)}")
    for group in groups:
        group.check(args)
    quiet.beam()
    return args, _with_defaults(PipelineOptions(rest))


def threads(args: argparse.Namespace, beam_options: PipelineOptions) -> int:
    """Decoding threads for each worker process."""
    workers = beam_options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1
    return args.threads or max(1, (os.cpu_count() or 1) // workers)


def _with_defaults(options: PipelineOptions) -> PipelineOptions:
    standard = options.view_as(StandardOptions)
    if not standard.runner:
        standard.runner = LAPTOP
    setup = options.view_as(SetupOptions)
    if setup.save_main_session is None:  # else Beam saves one on Dataflow; workers get the package
        setup.save_main_session = False
    return options


def _unknown_to_beam(flags: list[str]) -> list[str]:
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(known)  # type: ignore[arg-type]
    return known.parse_known_args(flags)[1]
