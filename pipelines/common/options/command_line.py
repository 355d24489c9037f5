"""A command's flags on its command line: the parser, its help, and the options that it gives."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, Generic, NoReturn, TypeVar

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Flag, fields, flags, groups

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, not a usage text and a line."""

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
        """Raises UserError."""
        raise UserError(f"{message}; {self.prog} --help lists the flags")


class _OldName(argparse.Action):
    """An earlier spelling of a flag: it works, and says what it is called now."""

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
      name: after `gld2`.
      options: a dataclass of flags and groups.
      description: what it does, first in `--help`.
      epilog: examples and notes, last in `--help`.
      usage: the first line of `--help`; None for argparse's own.
      program: what a shell starts; None for `gld2` and the name.
    """

    name: str
    options: type[T]
    description: str
    epilog: str
    usage: str | None = None
    program: str | None = None

    def parse(self, argv: Sequence[str] | None) -> T:
        """The options that a command line gives.

        Args:
          argv: the words after the command; None for the process's own.

        Raises:
          UserError: a flag that is unknown, malformed or missing.
        """
        return build(self.options, self.given(argv))

    def parse_known(self, argv: Sequence[str] | None) -> tuple[T, list[str]]:
        """The same, and the words that are no flag of this command."""
        found, rest = self.parser().parse_known_args(argv)
        return build(self.options, self._values(found)), rest

    def given(self, argv: Sequence[str] | None) -> dict[str, Any]:
        """The values of the flags that a command line gives, by their names."""
        return self._values(self.parser().parse_intermixed_args(argv))

    def _values(self, found: argparse.Namespace) -> dict[str, Any]:
        given = vars(found)
        return {f.name: f.value(given[f.name]) for f in flags(self.options) if f.name in given}

    def parser(self) -> Parser:
        """The command's parser; the values that it gives are text."""
        parser = Parser(
            self.program or f"gld2 {self.name}", self.description, self.epilog, self.usage
        )
        _add(parser, parser, self.options)
        return parser


def _add(parser: Parser, where: argparse._ActionsContainer, options: type) -> None:
    """Adds the flags of a dataclass to the parser, those of its groups below their titles."""
    inner, own = dict(groups(options)), dict(fields(options))
    for field in dataclasses.fields(options):
        if field.name in inner:
            title = field.metadata.get("title")
            about = field.metadata.get("about") or None
            place = parser.add_argument_group(title, about) if title else where
            _add(parser, place, inner[field.name])
        elif field.name in own:
            _add_flag(parser, where, own[field.name])


def _add_flag(parser: Parser, where: argparse._ActionsContainer, added: Flag) -> None:
    if any(action.dest == added.name for action in parser._actions):
        return  # two groups share it, as --seed
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
        # No choices: argparse would read them before `value` and say it in other words.
        metavar=added.metavar or ("{" + ",".join(added.choices) + "}" if added.choices else None),
        help=about,
    )
    for old in added.old_names:
        where.add_argument(f"--{old}", dest=added.name, action=_OldName, help=argparse.SUPPRESS)


def build(options: type[T], given: dict[str, Any]) -> T:
    """Makes a dataclass, groups included, of the values of flags; others have their defaults.

    Raises:
      UserError: a value that makes no sense.
    """
    values: dict[str, Any] = {field: build(inner, given) for field, inner in groups(options)}
    values |= {field: given[f.name] for field, f in fields(options) if f.name in given}
    return options(**values)
