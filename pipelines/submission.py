"""Kaggle's submission and solution files: read, checked, written."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipelines import fetch
from pipelines.schema import UserError

HEADER = ["id", "landmarks"]
SOLUTION_HEADER = ["id", "landmarks", "Usage"]
USAGES = ("Public", "Private", "Ignored")
CELL = r"^(\d+) ([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)$"
LANDMARKS = r"^(?:\d+(?: \d+)*)?$"


def write(ids: Sequence[str], predictions: Mapping[str, tuple[int, float]]) -> str:
    """A submission as text.

    Args:
      ids: in the order of the rows.
      predictions: id -> landmark_id and score; an id without one gets an empty cell.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for image_id in ids:
        found = predictions.get(image_id)
        writer.writerow([image_id, f"{found[0]} {found[1]:.6f}" if found else ""])
    return out.getvalue()


def read(path: str) -> pd.DataFrame:
    """Reads a submission.

    Returns:
      columns id (str), landmark_id (int64; -1 where the cell is empty) and
      score (float64; NaN there), in the file's order.

    Raises:
      UserError: naming the row: a wrong header, a malformed cell, a score that
        is not finite, an id that is repeated.
    """
    table = _read_csv(path, HEADER)
    cells = table["landmarks"]
    parts = cells.str.extract(CELL)
    _check(path, (cells == "") | parts[0].notna(), cells, "'<landmark_id> <score>' or nothing")
    scores = pd.to_numeric(parts[1]).astype(np.float64)
    _check(path, (cells == "") | np.isfinite(scores), cells, "a finite score")
    landmarks = pd.to_numeric(parts[0]).fillna(-1).astype(np.int64)
    return pd.DataFrame({"id": table["id"], "landmark_id": landmarks, "score": scores})


def read_solution(path: str) -> pd.DataFrame:
    """Reads a solution file.

    Returns:
      columns id (str), landmarks (str, space-separated integers, or empty) and
      Usage (Public, Private or Ignored), in the file's order.

    Raises:
      UserError: naming the row: a wrong header, cell or usage, or a repeated id.
    """
    table = _read_csv(path, SOLUTION_HEADER)
    fits = table["landmarks"].str.match(LANDMARKS)
    _check(path, fits, table["landmarks"], "space-separated integers or nothing")
    _check(path, table["Usage"].isin(USAGES), table["Usage"], " or ".join(USAGES))
    return table


def _read_csv(path: str, header: list[str]) -> pd.DataFrame:
    try:
        with fetch.open_stream(path) as stream:
            table = pd.read_csv(stream, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except fetch.Unreachable as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: expected a CSV with {','.join(header)}; {error}") from None
    if list(table.columns) != header:
        found = ",".join(map(str, table.columns))
        raise UserError(f"{path} row 1: expected the header {','.join(header)}, found {found}")
    _check(path, ~table["id"].duplicated(), table["id"], "each id once")
    return table


def _check(path: str, good: pd.Series, cells: pd.Series, expected: str) -> None:
    if not good.all():
        row = int(np.argmin(good.to_numpy(bool)))
        raise UserError(f"{path} row {row + 2}: expected {expected}, found {cells.iloc[row]!r}")
