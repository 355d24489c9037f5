"""Reads the prices and assumptions of gld2 plan, which a user may override. No Beam."""

from __future__ import annotations

import csv
import importlib.resources
import io
import json
import math
from collections.abc import Iterable, Mapping

from pipelines.common.errors import UserError

HEADER = ["name", "value", "unit", "note"]
FILE = "rates.csv"


class Rates(Mapping[str, float]):
    """The prices and assumptions: values by name, in the order of the package's table.

    Attributes:
      rows: name -> (value, unit, note).
    """

    def __init__(self, rows: dict[str, tuple[float, str, str]]):
        self.rows = rows

    def __getitem__(self, name: str) -> float:
        return self.rows[name][0]

    def __iter__(self):
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def read(path: str | None = None) -> Rates:
    """Reads the package's table and overrides its rows with those of a user's file.

    Args:
      path: of a CSV with the columns of HEADER, or of a JSON object of names and values.

    Raises:
      UserError: the file cannot be read, or has an unknown name, or a value that is no number
        from 0 up.
    """
    own = (importlib.resources.files("pipelines.plan") / FILE).read_text(encoding="utf-8")
    rows = dict(_rows(own, FILE))
    if path:
        for name, (value, unit, note) in _rows(_text(path), path):
            if name not in rows:
                raise UserError(f"{path}: expected only names of {FILE}, found {name!r}")
            rows[name] = (value, unit or rows[name][1], note or f"from {path}")
    return Rates(rows)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def _rows(text: str, path: str) -> Iterable[tuple[str, tuple[float, str, str]]]:
    if path.endswith(".json"):
        yield from _json_rows(text, path)
        return
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    if header[:2] != HEADER[:2]:
        raise UserError(f"{path} row 1: expected {','.join(HEADER)}, found {','.join(header)}")
    for number, row in enumerate(rows, start=2):
        if row:
            name, value, unit, note = [*row, "", "", "", ""][:4]
            yield name, (_value(value, f"{path} row {number}"), unit, note)


def _json_rows(text: str, path: str) -> Iterable[tuple[str, tuple[float, str, str]]]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: expected JSON, found {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected an object of names and values")
    for name, value in values.items():
        yield name, (_value(value, f"{path} {name}"), "", "")


def _value(found: object, place: str) -> float:
    try:
        value = float(found)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(f"{place}: expected a number from 0 up, found {found!r}")
    return value
