"""Checks a submission: finds all rows that Kaggle would reject, not only the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.common import paths
from pipelines.common.errors import UserError
from pipelines.common.labels import parse_labels
from pipelines.kaggle import csv_rows, submission
from pipelines.kaggle.csv_rows import Fault
from pipelines.kaggle.ids import read_ids
from pipelines.kaggle.options import ValidateOptions
from pipelines.kaggle.submission import SubmissionPredictions
from pipelines.source import discover, metadata_csv
from pipelines.storage import streams

COMMAND = "validate-submission"


def validate(options: ValidateOptions) -> bool:
    """Checks a submission and prints all its faults; returns whether it has no errors.

    Raises:
      UserError: a file cannot be read, or the source has no list of ids.
    """
    found = submission.parse(options.submission)
    path = options.ids or _ids_path(options.source)
    faults = found.faults + compare_ids(found, read_ids(path), path)
    if names := options.labels or options.train:
        landmarks = label_landmarks(names) if options.labels else train_landmarks(names)
        faults += compare_landmarks(found, landmarks, names)
    print_faults(options.submission, found, faults)
    return not any(fault.is_error for fault in faults)


def _ids_path(root: str) -> str:
    if path := discover.discover_metadata(root).test_csv:
        return path
    wanted = f"{paths.TEST_CSV} or {paths.KAGGLE_TEST_CSV}"
    raise UserError(f"--source {root}: found no {wanted} there")


def label_landmarks(path: str) -> pa.Array:
    """Reads the landmarks that a model predicts from its labels.csv, [landmarks] int64."""
    with streams.open_input(path) as stream:
        text = stream.read().decode("utf-8", "replace")
    return pa.array([label.landmark_id for label in parse_labels(text, path)], pa.int64())


def train_landmarks(path: str) -> pa.Array:
    """Reads the landmarks of train.csv, each once, [landmarks] int64."""
    columns = {"landmark_id": metadata_csv.TRAIN["landmark_id"]}
    metadata_csv.check_header(path, columns)
    found = [table["landmark_id"].unique() for table in metadata_csv.blocks(path, columns)]
    return pa.concat_arrays([*found, pa.array([], pa.int64())]).unique()


def compare_ids(found: SubmissionPredictions, ids: pa.Array, name: str) -> list[Fault]:
    """Finds extra ids, missing ids, and rows in another order.

    Args:
      found: the submission.
      ids: the ids that it should have, each once, in order.
      name: of the file that lists these ids.
    """
    if found.ids.equals(ids):  # the usual case, which is quick to check
        return []
    positions = pc.index_in(found.ids, ids)
    extra = np.asarray(positions.is_null())
    faults = csv_rows.find("extra id", f"an id of {name}", extra, found.numbers, found.ids)
    known = np.asarray(positions.drop_null())
    missing = np.bincount(known, minlength=len(ids)) == 0
    wanted = f"a row for each id of {name}; row numbers are those of {name}"
    faults += csv_rows.find("missing id", wanted, missing, np.arange(2, len(ids) + 2), ids)
    there = ~extra & ~submission.repeated(found.ids)
    positions, rows = np.asarray(positions.filter(pa.array(there))), np.flatnonzero(there)
    late = positions < np.maximum.accumulate(positions)
    order = csv_rows.find(
        "order", f"the order of {name}", late, found.numbers[rows], found.ids.take(pa.array(rows))
    )
    return faults + [dataclasses.replace(fault, is_error=False) for fault in order]


def compare_landmarks(found: SubmissionPredictions, landmarks: pa.Array, name: str) -> list[Fault]:
    """Finds predictions of unknown landmarks.

    Args:
      found: the submission.
      landmarks: the known landmarks, int64.
      name: of the file that lists these landmarks.
    """
    unknown = pc.and_(found.landmarks.is_valid(), pc.invert(pc.is_in(found.landmarks, landmarks)))
    expected = f"a landmark of {name}"
    return csv_rows.find("unknown landmark", expected, unknown, found.numbers, found.cells)


def print_faults(path: str, found: SubmissionPredictions, faults: Sequence[Fault]) -> None:
    """Prints counts of rows, and the number and first few rows of each kind of fault.

    Args:
      path: of the submission.
      found: its rows.
      faults: of its rows.
    """
    predicted = len(found.scores) - found.scores.null_count
    empty = int(pc.sum(pc.equal(found.cells, "")).as_py() or 0)
    left_out = sum(fault.count for fault in faults if fault.kind in csv_rows.LEFT_OUT)
    print(
        f"{COMMAND}: {path}: {len(found.ids) + left_out} rows = {predicted} predictions + "
        f"{empty} empty cells + {len(found.ids) - predicted - empty} wrong cells + "
        f"{left_out} wrong rows"
    )
    for fault in faults:
        name = fault.kind if fault.is_error else f"warning: {fault.kind}"
        print(f"{COMMAND}: {name}: {fault.count} (expected {fault.expected})")
        for row, what in fault.examples:
            print(f"{COMMAND}:   row {row}: {what}")
        if more := fault.count - len(fault.examples):
            print(f"{COMMAND}:   and {more} more")
    kinds = [fault.kind for fault in faults if fault.is_error]
    print(f"{COMMAND}: {'not good: ' + ', '.join(kinds) if kinds else 'good'}")
