"""Reads and writes labels.csv, the classes of a dataset."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator

from pipelines.common.errors import UserError

LABELS_HEADER = ("label", "landmark_id", "images")


@dataclasses.dataclass(frozen=True)
class Label:
    """One row of labels.csv.

    Attributes:
      label: the class, from 0.
      landmark_id: GLDv2's id of its landmark.
      images: number of its kept images.
    """

    label: int
    landmark_id: int
    images: int


def format_labels(labels: Iterable[Label]) -> str:
    """Returns the text of labels.csv, with rows in the given order."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(LABELS_HEADER)
    writer.writerows(dataclasses.astuple(label) for label in labels)
    return out.getvalue()


def parse_labels(text: str, name: str = "labels.csv") -> list[Label]:
    """Returns the rows of labels.csv.

    Args:
      text: the file's content.
      name: of the file, for errors.

    Raises:
      UserError: a wrong header, a malformed row, or labels that are not 0, 1, 2, ...
    """
    rows = csv.reader(io.StringIO(text))
    header = tuple(next(rows, ()))
    if header != LABELS_HEADER:
        raise UserError(f"{name}: expected the header {','.join(LABELS_HEADER)}, found {header}")
    labels = list(_label_rows(rows, name))
    for expected, label in enumerate(labels):
        if label.label != expected:
            raise UserError(f"{name} row {expected + 2}: expected label {expected}, found {label}")
    return labels


def _label_rows(rows: Iterable[list[str]], name: str) -> Iterator[Label]:
    for number, row in enumerate(rows, start=2):
        try:
            yield Label(*map(_int64, row))
        except (TypeError, ValueError):
            raise UserError(f"{name} row {number}: expected three integers, found {row}") from None


def _int64(cell: str) -> int:
    """Returns a cell as integer; raises ValueError for other text and beyond 64 bits."""
    number = int(cell)
    if number.bit_length() > 63:
        raise ValueError(cell)
    return number
