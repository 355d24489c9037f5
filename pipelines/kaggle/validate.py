"""Would Kaggle take this submission? All that it would not like, not the first fault alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.common import cli
from pipelines.common.cli import Parser
from pipelines.common.errors import UserError
from pipelines.common.labels import parse_labels
from pipelines.kaggle import csv_rows, submission
from pipelines.kaggle.csv_rows import Fault
from pipelines.kaggle.ids import listed
from pipelines.kaggle.submission import Predictions
from pipelines.source import metadata_csv
from pipelines.storage import streams

COMMAND = "validate-submission"
EXAMPLES = """\
exits with 0 where the submission is good, with 1 where it is not, and with 2 where it could not be
looked at: a file that cannot be read, or a flag that makes no sense. Rows in another order than the
ids' are a warning: Kaggle joins rows by id, but gld2 score keeps the order.

examples:
  gld2 validate-submission --submission submission.csv --ids sample_submission.csv
  gld2 validate-submission --submission submission.csv --source ROOT --labels JOB/export/labels.csv
  gld2 validate-submission --submission submission.csv --ids test.csv --train train.csv
"""


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


# ---- the comparison -------------------------------------------------------------------------


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


# ---- the command ----------------------------------------------------------------------------


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


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        COMMAND,
        "Look for all that is wrong with a submission: its header, its cells, its ids, its "
        "landmarks. Of each kind of fault the rows are counted and the first few named.",
        EXAMPLES,
    )
    parser.add_argument("--submission", required=True, help="CSV: id,landmarks")
    ids = parser.add_mutually_exclusive_group(required=True)
    ids.add_argument(
        "--ids", metavar="CSV", help="test.csv or sample_submission.csv, whose ids it has to have"
    )
    ids.add_argument("--source", metavar="ROOT", help="or the place where one of these is")
    landmarks = parser.add_mutually_exclusive_group()
    landmarks.add_argument(
        "--labels", metavar="CSV", help="labels.csv, whose landmarks alone it may name"
    )
    landmarks.add_argument(
        "--train", metavar="CSV", help="or train.csv, whose landmarks alone it may name"
    )
    return parser.parse_args(argv)


def _ids_path(args: argparse.Namespace) -> str:
    if args.ids:
        return args.ids
    from pipelines.common import paths
    from pipelines.source import discover

    if path := discover.discover_metadata(args.source).test_csv:
        return path
    wanted = f"{paths.TEST_CSV} or {paths.KAGGLE_TEST_CSV}"
    raise UserError(f"--source {args.source}: found no {wanted} there")


def main(argv: Sequence[str] | None = None) -> int:
    args = _parse(argv)
    found = submission.parse(args.submission)
    path = _ids_path(args)
    faults = found.faults + compare_ids(found, listed(path), path)
    if names := args.labels or args.train:
        landmarks = labels(names) if args.labels else train(names)
        faults += compare_landmarks(found, landmarks, names)
    tell(args.submission, found, faults)
    return 1 if any(fault.is_error for fault in faults) else 0


if __name__ == "__main__":
    cli.door("validate-submission", "pipelines.kaggle.validate", "pipelines")
