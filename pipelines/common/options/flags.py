"""Declares flags as fields of frozen dataclasses, with default, help and checks.

A command's options are one dataclass. A field made by `flag` is a flag; a field that is itself a
dataclass is a group of flags. The parser, `--help`, the checks and the forms of the flex templates
are all made from these fields.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec

from pipelines.common.errors import UserError

P = ParamSpec("P")

NUMBERS = {int: "a whole number", float: "a number"}
METAVARS = {int: "N", float: "X"}
KEY = "flag"  # in the metadata of a dataclass' field


@dataclasses.dataclass(frozen=True)
class FlagSpec:
    """What a dataclass' field says about its flag: the arguments of `flag`.

    Attributes:
      default: the field's default; without one the flag is required.
      about: the help text. `{default}` in it is replaced by the default, which is otherwise added
        at the end unless it is empty.
      name: the flag's name; "" for the field's.
      metavar: the placeholder of the value in `--help`; None for the usual one of its type.
      choices: the allowed values; empty for any.
      least, most: bounds of a number, both included; None for none.
      parse: converts the text of a value (with `repeats`, the list of texts), or raises a
        ValueError that says what was expected and what was found; None to convert by its type.
      shown: the default as `--help` shows it; None for its usual form, "" to hide it.
      repeats: whether the flag may be given several times; its value is then a tuple.
      positional: whether the value is given without the flag's name.
      needed: whether a command line has to give it though the field has a default.
      old_names: earlier names, which work for one more release and print the new one.
    """

    default: Any = dataclasses.field(default_factory=lambda: dataclasses.MISSING)
    about: str = ""
    _: dataclasses.KW_ONLY
    name: str = ""
    metavar: str | None = None
    choices: Sequence[str] = ()
    least: float | None = None
    most: float | None = None
    parse: Callable[[Any], Any] | None = None
    shown: str | None = None
    repeats: bool = False
    positional: bool = False
    needed: bool = False
    old_names: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flag(FlagSpec):
    """One flag of a command: its name, help text and metavar are complete.

    Attributes:
      kind: int, float, str or bool, the type of its value or of the items of its list.
      several: whether its value is a list, separated by commas.
    """

    kind: type
    several: bool

    @property
    def required(self) -> bool:
        """Whether a command line has to give the flag."""
        return self.needed or self.default is dataclasses.MISSING

    def value(self, text: Any) -> Any:
        """Converts the text of a command line to the flag's value.

        Raises:
          UserError: the text is no such value.
        """
        try:
            if _has_no_text(text):
                raise ValueError("expected a value, found '--'")
            # As of a shell variable that is not set.
            wanted = self.required or self.default != ""
            if wanted and not self.parse and text in ("", [""]):
                raise ValueError("expected a value, found ''")
            return self._value(text)
        except ValueError as error:
            raise UserError(f"{self.title}: {error}") from None

    def _value(self, text: Any) -> Any:
        if self.parse:
            return self.parse(text)
        if self.kind is bool:
            return text
        if self.repeats:
            return tuple(text)
        if self.several:
            return tuple(self._one(part, text) for part in text.split(","))
        return self._one(text, text)

    def _one(self, part: str, text: str) -> Any:
        try:
            return self.kind(part)
        except ValueError:
            some = f"{NUMBERS[self.kind]}{', or several with commas' if self.several else ''}"
            raise ValueError(f"expected {some}, found {text!r}") from None

    def check(self, value: Any) -> None:
        """Checks a value.

        Raises:
          UserError: the value is not among the choices or out of bounds.
        """
        if self.choices and value not in self.choices:
            raise UserError(f"{self.title} {value}: expected one of {', '.join(self.choices)}")
        if value is None or (self.least is None and self.most is None):
            return
        low = self.least is None or value >= self.least  # false for nan
        if not low or (self.most is not None and not value <= self.most):
            wanted = (
                f"at least {self.least}" if self.most is None else f"{self.least} to {self.most}"
            )
            raise UserError(f"{self.title}: expected {wanted}, found {value}")

    @property
    def title(self) -> str:
        """The flag's name in errors."""
        return self.metavar or self.name if self.positional else f"--{self.name}"


def _has_no_text(given: Any) -> bool:
    """Returns whether argparse gave a list where a flag's value is `--`."""
    each = given if isinstance(given, list) else [given]
    return given == [] or any(isinstance(value, list) for value in each)


def _declares(spec: Callable[P, FlagSpec]) -> Callable[P, Any]:
    """Returns a function with the arguments of `spec` that returns a dataclass' field."""

    def declare(*args: P.args, **given: P.kwargs) -> Any:
        said = spec(*args, **given)
        return dataclasses.field(default=said.default, metadata={KEY: said})

    return declare


flag = _declares(FlagSpec)  # a dataclass' field that is a flag of a command


def group(title: str = "", about: str = "", *, factory: Callable[[], Any] | None = None) -> Any:
    """Returns a dataclass' field that is a group of flags.

    Args:
      title: the group's title in `--help`; "" for none.
      about: the text below the title.
      factory: makes the default; without one, code that makes the dataclass has to give the group.
    """
    metadata = {"title": title, "about": about}
    if factory is None:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default_factory=factory, metadata=metadata)


class Options:
    """The base class of dataclasses of flags, which checks choices and bounds when made.

    A subclass that checks more extends `__post_init__`.
    """

    def __post_init__(self) -> None:
        """Raises UserError for a value that is not valid."""
        for field, found in fields(type(self)):
            found.check(getattr(self, field))


def members(options: type) -> Iterator[tuple[dataclasses.Field, Flag | type]]:
    """Yields the fields that are flags, each with its flag, or groups, each with its dataclass."""
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        hint = hints[field.name]
        if KEY in field.metadata:
            yield field, _flag(field, hint)
        elif dataclasses.is_dataclass(hint):
            yield field, hint  # type: ignore[misc]


def fields(options: type) -> Iterator[tuple[str, Flag]]:
    """Yields the flags of a dataclass, without its groups, with the names of their fields."""
    for field, found in members(options):
        if isinstance(found, Flag):
            yield field.name, found


def flags(options: type) -> Iterator[Flag]:
    """Yields all flags of a dataclass and of its groups, in the order of the fields."""
    for _, found in members(options):
        if isinstance(found, Flag):
            yield found
        else:
            yield from flags(found)


def _flag(field: dataclasses.Field, hint: Any) -> Flag:
    said: FlagSpec = field.metadata[KEY]
    kind, is_tuple = _kind(hint)
    default, about = _shown(said.default) if said.shown is None else said.shown, said.about
    if "{default}" in about:
        about = about.replace("{default}", default)
    elif default:
        about += f" (default: {default})"
    completed = {
        "name": said.name or field.name,
        "about": about,
        "metavar": said.metavar or (None if said.choices else METAVARS.get(kind)),
        "kind": kind,
        "several": is_tuple and not said.repeats,
    }
    return Flag(**vars(said) | completed)


def _kind(hint: Any) -> tuple[type, bool]:
    """Returns int, float, str or bool, and whether the hint is a tuple of them."""
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def _shown(default: Any) -> str:
    if default is None or default is dataclasses.MISSING or isinstance(default, bool):
        return ""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


BEAM_NOTE = """\
Beam's own flags pass through: --runner=DataflowRunner --project=... --region=...
--temp_location=gs://..., --runner=FlinkRunner, --direct_num_workers=2, and so on.

examples:
"""


# ---- options of several commands ------------------------------------------------------------


def folder(path: str) -> str:
    """Returns a folder's name without the slash at its end.

    Raises:
      ValueError: there is no name.
    """
    if not path:
        raise ValueError("expected a value, found ''")
    return path.rstrip("/") or "/"


@dataclasses.dataclass(frozen=True)
class OutputOptions(Options):
    """The folder that results are written to."""

    output: str = flag(about="folder of the run, on a disk or gs://", metavar="OUT", parse=folder)


@dataclasses.dataclass(frozen=True)
class SeedOptions(Options):
    """The seed of random choices."""

    seed: int = flag(0, "seed of all random choices", least=0)
