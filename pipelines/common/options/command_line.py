"""Parses a command's flags into its options, and prints its help."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, Generic, NoReturn, TypeVar

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Flag, flags, members

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises errors of one line, without a usage text."""

    def __init__(self, program: str, description: str, epilog: str, usage: str | None = None):
        super().__init__(
            program,
            usage,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raises UserError with argparse's message."""
        raise UserError(f"{message}; {self.prog} --help lists the flags")


class _OldName(argparse.Action):
    """The action of a flag's earlier name: sets its value, and prints its new name."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        print(
            f"{parser.prog}: {option_string} is now --{self.dest}; the old name will be removed",
            file=sys.stderr,
        )
        setattr(namespace, self.dest, values)


@dataclasses.dataclass(frozen=True)
class Command(Generic[T]):
    """A command's name, options and help.

    Attributes:
      name: its name after `gld2`.
      options: a dataclass of flags and groups.
      description: a summary, first in `--help`.
      epilog: examples and notes, last in `--help`.
      usage: the first line of `--help`; None for argparse's own.
      program: the words that start it in a shell; None for `gld2` and the name.
    """

    name: str
    options: type[T]
    description: str
    epilog: str
    usage: str | None = None
    program: str | None = None

    def parse(self, argv: Sequence[str] | None) -> T:
        """Returns the options that a command line gives.

        Args:
          argv: the words after the command; None for the process's own.

        Raises:
          UserError: a flag is unknown, malformed or missing.
        """
        return build(self.options, self.given(argv))

    def parse_known(self, argv: Sequence[str] | None) -> tuple[T, list[str]]:
        """Returns the options, and the words that are no flags of this command.

        Raises:
          UserError: a flag is malformed or missing.
        """
        found, rest = self.parser().parse_known_args(argv)
        return build(self.options, self._values(found)), rest

    def given(self, argv: Sequence[str] | None) -> dict[str, Any]:
        """Returns the values of the flags that a command line gives, by name."""
        return self._values(self.parser().parse_intermixed_args(argv))

    def _values(self, found: argparse.Namespace) -> dict[str, Any]:
        given = vars(found)
        return {f.name: f.value(given[f.name]) for f in flags(self.options) if f.name in given}

    def parser(self) -> Parser:
        """Returns the command's parser; the values that it returns are text."""
        parser = Parser(
            self.program or f"gld2 {self.name}", self.description, self.epilog, self.usage
        )
        _add(parser, parser, self.options)
        return parser


def _add(parser: Parser, where: argparse._ActionsContainer, options: type) -> None:
    """Adds a dataclass' flags to the parser, those of groups below the groups' titles."""
    for field, found in members(options):
        if isinstance(found, Flag):
            _add_flag(parser, where, found)
            continue
        title = field.metadata.get("title")
        about = field.metadata.get("about") or None
        _add(parser, parser.add_argument_group(title, about) if title else where, found)


def _add_flag(parser: Parser, where: argparse._ActionsContainer, added: Flag) -> None:
    if any(action.dest == added.name for action in parser._actions):
        return  # a flag that two groups share, such as --seed
    about = added.about.replace("%", "%%")
    if added.positional:
        nargs: dict[str, Any] = {"nargs": "*"} if added.repeats else {}
        where.add_argument(added.name, metavar=added.metavar, help=about, **nargs)
        return
    if added.kind is bool:
        where.add_argument(f"--{added.name}", action="store_true", help=about)
        return
    where.add_argument(
        f"--{added.name}",
        action="append" if added.repeats else "store",
        required=added.required,
        # No choices: argparse would check them before `value` does, with another message.
        metavar=added.metavar or ("{" + ",".join(added.choices) + "}" if added.choices else None),
        help=about,
    )
    for old in added.old_names:
        where.add_argument(f"--{old}", dest=added.name, action=_OldName, help=argparse.SUPPRESS)


def build(options: type[T], given: dict[str, Any]) -> T:
    """Makes a dataclass and its groups of the values of flags; the rest get their defaults.

    Raises:
      UserError: a value is not valid.
    """
    values: dict[str, Any] = {}
    for field, found in members(options):
        if not isinstance(found, Flag):
            values[field.name] = build(found, given)
        elif found.name in given:
            values[field.name] = given[found.name]
    return options(**values)
