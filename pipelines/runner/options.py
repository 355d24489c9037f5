"""Parses Beam's own flags, which a command passes through to the engine."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
)

from pipelines.common import quiet
from pipelines.common.errors import UserError

# The runner that DirectRunner falls back to; under the name DirectRunner, Beam would first
# try to download Prism.
LOCAL_RUNNER = "FnApiRunner"


class _Parser(argparse.ArgumentParser):
    """A parser of Beam's flags whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(message)


def beam_options(command: str, flags: Sequence[str]) -> PipelineOptions:
    """Returns Beam's options from the flags that are not a command's own.

    Args:
      command: the command's name, for errors.
      flags: those that the command's parser did not recognize.

    Raises:
      UserError: Beam does not recognize one of them either.
    """
    known = _Parser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(known)  # type: ignore[arg-type]
    if unknown := known.parse_known_args(list(flags))[1]:
        raise UserError(f"unknown flag: {' '.join(unknown)}; gld2 {command} --help lists the flags")
    quiet.beam()
    return _with_defaults(PipelineOptions(list(flags)))


def decoding_threads(wanted: int | None, options: PipelineOptions) -> int:
    """Returns the decoding threads of each worker process: `wanted`, or its share of the cores."""
    workers = options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1
    return wanted or max(1, (os.cpu_count() or 1) // workers)


def _with_defaults(options: PipelineOptions) -> PipelineOptions:
    standard = options.view_as(StandardOptions)
    if not standard.runner:
        standard.runner = LOCAL_RUNNER
    setup = options.view_as(SetupOptions)
    if setup.save_main_session is None:  # Beam would save one on Dataflow; workers have the package
        setup.save_main_session = False
    return options
