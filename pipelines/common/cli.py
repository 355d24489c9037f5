"""What every command's flags share. No Beam, so that short commands start at once."""

from __future__ import annotations

import argparse
from typing import NoReturn

from pipelines.common.errors import UserError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, not a usage text and a line."""

    def __init__(self, command: str, description: str, epilog: str):
        super().__init__(
            f"gld2 {command}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.prog} --help lists the flags")


def at_least(args: argparse.Namespace, flag: str, least: int) -> None:
    """Raises UserError where a flag is given and its value is too small."""
    value = getattr(args, flag)
    if value is not None and not value >= least:  # nor is nan
        raise UserError(f"--{flag}: expected at least {least}, found {value}")
