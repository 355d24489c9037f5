"""The published CSVs, read a block of rows at a time, checked, as columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipelines import fetch, tables
from pipelines.schema import UserError

BLOCK = 8 << 20  # bytes of CSV read at a time
MAX_HEADER = 1 << 16  # bytes
HEX_ID = "^[0-9a-f]{16}$"

TRAIN = {"id": "string", "landmark_id": "int64"}
CLEAN = {"landmark_id": "int64", "images": "string"}
IDS = {"id": "string"}


def check_header(path: str, columns: Mapping[str, str]) -> None:
    """Looks at a CSV's first line, before any work is done.

    Raises:
      UserError: the file cannot be read or lacks a column.
    """
    try:
        with fetch.open_stream(path) as stream:
            head = stream.read(MAX_HEADER)
    except fetch.Unreachable as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    line = head.decode("utf-8-sig", "replace").splitlines()[:1]
    found = next(csv.reader(io.StringIO(line[0]))) if line else []
    missing = [name for name in columns if name not in found]
    if missing:
        wanted = ",".join(columns)
        raise UserError(
            f"{path} row 1: expected the columns {wanted}; {', '.join(missing)} not in {found}"
        )


def blocks(path: str, columns: Mapping[str, str]) -> Iterator[pa.Table]:
    """The rows of a CSV, a block at a time, with only `columns`.

    Raises:
      UserError: naming the file, and the row where the reader knows it.
    """
    convert = pa_csv.ConvertOptions(
        include_columns=list(columns),
        column_types=tables.arrow_schema(columns),
        strings_can_be_null=False,
    )
    try:
        with (
            fetch.open_stream(path) as stream,
            pa_csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                pa_csv.ReadOptions(block_size=BLOCK, use_threads=False),
                pa_csv.ParseOptions(newlines_in_values=True),
                convert,
            ) as reader,
        ):
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, fetch.Unreachable, KeyError) as error:
        wanted = ",".join(columns)
        raise UserError(f"{path}: expected rows of {wanted}; {error}") from None


def train_rows(path: str) -> Iterator[pd.DataFrame]:
    """Blocks of train.csv: id, landmark_id.

    Raises:
      UserError: an id that is not 16 hex, or a landmark_id that is no integer.
    """
    for table in _checked_ids(path, TRAIN):
        yield tables.frame(table)


def clean_ids(path: str) -> Iterator[pd.DataFrame]:
    """Blocks of train_clean.csv, a row for each image: id."""
    for table in blocks(path, CLEAN):
        ids = pc.list_flatten(pc.ascii_split_whitespace(table["images"]))
        ids = ids.filter(pc.not_equal(ids, ""))
        yield tables.frame(pa.table({"id": ids}))


def ids(path: str) -> Iterator[list[str]]:
    """Blocks of the `id` column of test.csv, train.csv or a sample submission, in its order."""
    for table in _checked_ids(path, IDS):
        yield table["id"].to_pylist()


def _checked_ids(path: str, columns: Mapping[str, str]) -> Iterator[pa.Table]:
    row = 2  # 1 is the header
    for table in blocks(path, columns):
        good = pc.match_substring_regex(table["id"], HEX_ID)
        first = pc.index(good, False).as_py()
        if first >= 0:
            found = table["id"][first].as_py()
            raise UserError(f"{path} row {row + first}: expected an id of 16 hex, found {found!r}")
        row += len(table)
        yield table
