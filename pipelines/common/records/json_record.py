"""Converts frozen dataclasses to JSON text and back, by their type hints.

A hint is int, float, str, bool, a StrEnum, Any, another dataclass, `X | None`, `list[X]`,
`tuple[X, ...]` or `dict[str, X]`. A dataclass may have a class variable REMEDY,
which tells the user what to do about a file that cannot be read.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import types
import typing
from typing import Any, TypeVar

from pipelines.common.errors import UserError
from pipelines.common.options.flags import KEY

REMEDY = "remove it and run again"

T = TypeVar("T")

_OMITTED = "omitted"  # in a field's metadata: the key is left out where the value is None
_SCALARS = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}
LARGEST = 1e30  # of numbers: products of several stay finite


def optional() -> Any:
    """Returns a dataclass field whose key is left out of the JSON where its value is None."""
    return dataclasses.field(default=None, metadata={_OMITTED: True})


# ---- writing --------------------------------------------------------------------------------


def dumps(record: object, sort_keys: bool = True) -> str:
    """Returns the JSON text of a record, with a newline at its end.

    Args:
      record: a dataclass, or lists and dicts of them.
      sort_keys: whether an object's keys are sorted; otherwise they are in the fields' order.
    """
    return json.dumps(_written(record), indent=2, sort_keys=sort_keys) + "\n"


def plain(record: object) -> Any:
    """Converts a record to the dicts, lists, numbers and texts of its JSON; sorts keys."""
    return json.loads(dumps(record))


def _written(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        values = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {
            field.name: _written(each)
            for field, each in values
            if each is not None or not field.metadata.get(_OMITTED)
        }
    if isinstance(value, dict):
        return {name: _written(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    return value


# ---- reading --------------------------------------------------------------------------------


class _Unfit(ValueError):
    """Raised for JSON that does not fit a hint; says what was expected and found."""


def loads(kind: type[T], text: str | bytes, name: str, remedy: str = "") -> T:
    """Reads a record; ignores keys that it has no field for.

    Args:
      kind: a dataclass, or another hint such as `dict[str, Metrics]`.
      text: the JSON.
      name: the file's name in errors.
      remedy: tells the user what to do about a file that cannot be read; '' for the kind's own.

    Raises:
      UserError: the text is not JSON, lacks the key of a field without a default, or holds a value
        of another type.
    """
    remedy = remedy or getattr(kind, "REMEDY", REMEDY)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: expected JSON, found {error}; {remedy}") from None
    try:
        return _read(kind, value, "")
    except _Unfit as error:
        raise UserError(f"{name}: {error}; {remedy}") from None


def _read(kind: Any, value: Any, key: str) -> Any:
    """Converts a value to a hint's type; `key` is its path in the file, '' for the root."""
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, key)
    if kind is Any:
        return value
    if _is_union(kind):
        return None if value is None else _read(_not_none(kind), value, key)
    if (origin := typing.get_origin(kind)) is not None:
        return _container(origin, typing.get_args(kind), value, key)
    if issubclass(kind, enum.StrEnum):
        return _member(kind, value, key)
    if not _is_scalar(kind, value):
        raise _unfit(key, _SCALARS[kind], value)
    return value


def _is_scalar(kind: type, value: Any) -> bool:
    """Returns whether a value is of a kind, and can be computed with or printed."""
    # A whole number is a number too; a bool is an int in Python, but not in JSON.
    kinds = (float, int) if kind is float else (kind,)
    if type(value) not in kinds:
        return False
    if kind is str:
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return kind is bool or abs(value) <= LARGEST  # false for nan


def _record(kind: Any, value: Any, key: str) -> Any:
    hints = _hints(kind)
    fields = dataclasses.fields(kind)
    needed = [field.name for field in fields if _has_no_default(field)]
    if isinstance(value, dict):
        value = _under_new_names(fields, value)
    if not isinstance(value, dict):
        raise _unfit(key, f"{', '.join(needed)} in an object", value)
    for name in needed:
        if name not in value:
            expected = f"`{_below(key, name)}`, {_describe_type(hints[name])}"
            raise _Unfit(f"expected {expected}, found no such key")
    given = [field.name for field in fields if field.name in value]
    values = {name: _read(hints[name], value[name], _below(key, name)) for name in given}
    try:
        return kind(**values)
    except UserError as error:  # the dataclass itself rejects a value
        raise _Unfit(f"`{key}`: {error}" if key else str(error)) from None


def _under_new_names(fields: tuple[dataclasses.Field, ...], value: dict) -> dict:
    """Returns an object with earlier names of keys replaced by the current ones."""
    old = {
        name: field.name
        for field in fields
        if KEY in field.metadata
        for name in field.metadata[KEY].old_names
    }
    return {old.get(name, name): each for name, each in value.items()}


def _container(origin: Any, inner: tuple[Any, ...], value: Any, key: str) -> Any:
    if origin is dict:
        if not isinstance(value, dict):
            raise _unfit(key, "an object", value)
        return {name: _read(inner[1], each, _below(key, name)) for name, each in value.items()}
    if not isinstance(value, list):
        raise _unfit(key, "a list", value)
    return origin(_read(inner[0], each, f"{key}[{n}]") for n, each in enumerate(value))


def _member(kind: type[enum.StrEnum], value: Any, key: str) -> enum.StrEnum:
    try:
        return kind(value)
    except ValueError:
        raise _unfit(key, _describe_type(kind), value) from None


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _not_none(kind: Any) -> Any:
    (inner,) = (each for each in typing.get_args(kind) if each is not type(None))
    return inner


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _unfit(key: str, expected: str, value: Any) -> _Unfit:
    where = f"`{key}`: " if key else ""
    return _Unfit(f"{where}expected {expected}, found {_short(json.dumps(value))}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]} ..."


def _describe_type(kind: Any) -> str:
    """Describes the type that a hint asks for."""
    if _is_union(kind):
        return f"{_describe_type(_not_none(kind))} or null"
    if typing.get_origin(kind) in (list, tuple):
        return "a list"
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
        return f"one of {', '.join(kind)}"
    return _SCALARS.get(kind, "any value" if kind is Any else "an object")
