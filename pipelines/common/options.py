"""Flags that several commands share"""

from __future__ import annotations

import argparse
from typing import Protocol

from pipelines.common.cli import at_least


class Options(Protocol):
    """Some flags: how they are declared, and what makes their values good."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None: ...

    @classmethod
    def check(cls, args: argparse.Namespace) -> None: ...


class OutputOptions:
    """Where results go."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--output", required=True, metavar="OUT", help="folder or gs:// for what the run makes"
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        args.output = args.output.rstrip("/") or "/"


class SeedOptions:
    """What chance hangs on."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--seed", type=int, default=0, help="of every choice and order (default: %(default)s)"
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "seed", 0)
