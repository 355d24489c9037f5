"""Reads, checks and writes Kaggle's submission and solution files."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.common import solution
from pipelines.common.errors import UserError
from pipelines.kaggle import csv_rows
from pipelines.kaggle.csv_rows import Fault
from pipelines.storage import streams

if TYPE_CHECKING:
    import pandas as pd

HEADER = ["id", "landmarks"]
NUMBER = "[0-9]{1,18}"  # fits 64 bits
CELL = rf"^(?P<landmark>{NUMBER}) (?P<score>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)$"
FORM = "'<landmark_id> <score>' or nothing"
NOT_FINITE = rf"(?i)^{NUMBER} [-+]?(?:nan|inf|infinity)$"


@dataclasses.dataclass(frozen=True)
class SubmissionPredictions:
    """The rows of a submission that have two cells.

    Attributes:
      numbers: [rows] int64, each row's number in the file; the header is row 1.
      ids: [rows] string, the first cell.
      cells: [rows] string, the second cell.
      landmarks: [rows] int64; null where the cell is empty or wrong.
      scores: [rows] float64, finite; null where the landmark is.
      faults: faults that can be found without the solution or other files.
    """

    numbers: np.ndarray
    ids: pa.Array
    cells: pa.Array
    landmarks: pa.Array
    scores: pa.Array
    faults: list[Fault]


# ---- writing --------------------------------------------------------------------------------


def write(ids: Sequence[str], predictions: Mapping[str, tuple[int, float]]) -> str:
    """Formats a submission as CSV.

    Args:
      ids: in the order of the rows.
      predictions: id -> landmark_id and score; an id without one gets an empty cell.

    Raises:
      UserError: an id is repeated, or a score is not finite; Kaggle would reject the file.
    """
    if (different := len(set(ids))) < len(ids):
        raise UserError(f"expected each id once, found {len(ids)} rows of {different} ids")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows((image_id, _cell(image_id, predictions.get(image_id))) for image_id in ids)
    return out.getvalue()


def _cell(image_id: str, found: tuple[int, float] | None) -> str:
    if not found:
        return ""
    landmark_id, score = found
    if not math.isfinite(score):
        raise UserError(f"id {image_id}: expected a finite score, found {score}; check the model")
    # Always six decimals: later ones depend on how photos were split into batches.
    return f"{landmark_id} {score:.6f}"


# ---- reading --------------------------------------------------------------------------------


def parse(path: str) -> SubmissionPredictions:
    """Reads a submission and collects its faults.

    Raises:
      UserError: the file cannot be read at all.
    """
    rows = csv_rows.read(path, HEADER)
    ids, cells = rows.columns
    faults = rows.faults + csv_rows.find(
        "repeated id", "each id once", repeated(ids), rows.numbers, ids
    )
    found = pc.extract_regex(cells, CELL)
    scores = pc.struct_field(found, "score").cast(pa.float64())
    scores = pc.if_else(pc.is_finite(scores), scores, None)  # 1e999
    infinite = pc.match_substring_regex(cells, NOT_FINITE)
    infinite = pc.or_(infinite, pc.and_(found.is_valid(), scores.is_null()))
    faults += csv_rows.find("not finite", "a finite score", infinite, rows.numbers, cells)
    malformed = pc.and_(found.is_null(), pc.not_equal(cells, ""))
    malformed = pc.and_not(malformed, infinite)
    faults += csv_rows.find("malformed cell", FORM, malformed, rows.numbers, cells)
    landmarks = pc.if_else(scores.is_valid(), pc.struct_field(found, "landmark"), None)
    return SubmissionPredictions(
        rows.numbers, ids, cells, landmarks.cast(pa.int64()), scores, faults
    )


def read(path: str) -> pd.DataFrame:
    """Reads a submission.

    Returns:
      columns id (str), landmark_id (int64; -1 where the cell is empty) and
      score (float64; NaN there), in the file's order.

    Raises:
      UserError: `parse` finds a fault; the message names the first such row.
    """
    import pandas as pd

    found = parse(path)
    _raise_first(path, found.faults)
    landmarks = np.asarray(pc.fill_null(found.landmarks, -1))
    ids = found.ids.to_pandas()
    scores = found.scores.to_numpy(zero_copy_only=False)
    return pd.DataFrame({"id": ids, "landmark_id": landmarks, "score": scores})


def read_solution(path: str) -> pd.DataFrame:
    """Reads a solution file.

    Returns:
      columns id (str), landmarks (str, space-separated integers, or empty) and
      Usage (Public, Private or Ignored), in the file's order.

    Raises:
      UserError: the header, a cell or a usage is wrong, or an id is repeated; the message names
        the first such row.
    """
    import pandas as pd

    found = solution.parse(_text(path), path)
    columns = (found.ids, found.landmarks, found.usages)
    return pd.DataFrame(dict(zip(solution.HEADER, columns, strict=True)), dtype=object)


def _text(path: str) -> str:
    """Returns a file's content; bytes that are not UTF-8 are escaped."""
    with streams.open_input(path) as stream:
        data = stream.read(csv_rows.MAX_BYTES + 1)
    if len(data) > csv_rows.MAX_BYTES:
        raise UserError(f"{path}: expected at most {csv_rows.MAX_BYTES:,} bytes, found more")
    return data.decode("utf-8", "surrogateescape")


def repeated(ids: pa.Array) -> np.ndarray:
    """Returns for each row whether its id occurred before: [rows] bool."""
    # Codes count up in the order in which ids first occur.
    codes = np.asarray(ids.dictionary_encode().indices)
    before = np.maximum.accumulate(np.concatenate([[-1], codes]))[:-1]
    return codes <= before


def _raise_first(path: str, faults: Sequence[Fault]) -> None:
    if faults:
        fault = min(faults, key=lambda fault: fault.examples[0][0])
        row, found = fault.examples[0]
        more = sum(fault.count for fault in faults) - 1
        also = f"; and {more} more faults" if more else ""
        raise UserError(f"{path} row {row}: expected {fault.expected}, found {found}{also}")
