"""What Kaggle would refuse in a submission: all that is wrong, not the first fault alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.common import paths
from pipelines.common.errors import UserError
from pipelines.common.labels import parse_labels
from pipelines.kaggle import csv_rows, submission
from pipelines.kaggle.csv_rows import Fault
from pipelines.kaggle.ids import listed
from pipelines.kaggle.options import ValidateOptions
from pipelines.kaggle.submission import Predictions
from pipelines.source import discover, metadata_csv
from pipelines.storage import streams

COMMAND = "validate-submission"


def validate(options: ValidateOptions) -> bool:
    """Looks for all that is wrong with a submission, prints it; returns whether it is good.

    Raises:
      UserError: a file cannot be read, or the source lists no ids.
    """
    found = submission.parse(options.submission)
    path = options.ids or _ids_path(options.source)
    faults = found.faults + compare_ids(found, listed(path), path)
    if names := options.labels or options.train:
        landmarks = labels(names) if options.labels else train(names)
        faults += compare_landmarks(found, landmarks, names)
    tell(options.submission, found, faults)
    return not any(fault.is_error for fault in faults)


def _ids_path(root: str) -> str:
    if path := discover.discover_metadata(root).test_csv:
        return path
    wanted = f"{paths.TEST_CSV} or {paths.KAGGLE_TEST_CSV}"
    raise UserError(f"--source {root}: found no {wanted} there")


def labels(path: str) -> pa.Array:
    """The landmarks that a model knows, by its labels.csv; [landmarks] int64."""
    try:
        with streams.open_stream(path) as stream:
            text = stream.read().decode("utf-8", "replace")
    except streams.Unreachable as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return pa.array([label.landmark_id for label in parse_labels(text, path)], pa.int64())


def train(path: str) -> pa.Array:
    """The landmarks of train.csv; [landmarks] int64."""
    columns = {"landmark_id": metadata_csv.TRAIN["landmark_id"]}
    metadata_csv.check_header(path, columns)
    found = [table["landmark_id"].unique() for table in metadata_csv.blocks(path, columns)]
    return pa.concat_arrays([*found, pa.array([], pa.int64())]).unique()


def compare_ids(found: Predictions, ids: pa.Array, name: str) -> list[Fault]:
    """Extra and missing ids, and rows in another order.

    Args:
      found: the submission.
      ids: those that it should have, each once.
      name: of the file that lists them.
    """
    if found.ids.equals(ids):  # as it should be: no need to look for each
        return []
    places = pc.index_in(found.ids, ids)
    extra = np.asarray(places.is_null())
    faults = csv_rows.find("extra id", f"an id of {name}", extra, found.numbers, found.ids)
    known = np.asarray(places.drop_null())
    missing = np.bincount(known, minlength=len(ids)) == 0
    wanted = f"a row for each id of {name}, whose rows these are"
    faults += csv_rows.find("missing id", wanted, missing, np.arange(2, len(ids) + 2), ids)
    there = ~extra & ~submission.repeated(found.ids)
    places, rows = np.asarray(places.filter(pa.array(there))), np.flatnonzero(there)
    late = places < np.maximum.accumulate(places)
    order = csv_rows.find(
        "order", f"the order of {name}", late, found.numbers[rows], found.ids.take(pa.array(rows))
    )
    return faults + [Fault(f.kind, f.expected, f.count, f.examples, False) for f in order]


def compare_landmarks(found: Predictions, landmarks: pa.Array, name: str) -> list[Fault]:
    """Predictions of landmarks that are not among `landmarks`."""
    unknown = pc.and_(found.landmarks.is_valid(), pc.invert(pc.is_in(found.landmarks, landmarks)))
    expected = f"a landmark of {name}"
    return csv_rows.find("unknown landmark", expected, unknown, found.numbers, found.cells)


def tell(path: str, found: Predictions, faults: Sequence[Fault]) -> None:
    """Prints the counts, and of each kind of fault how many rows and the first few."""
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
