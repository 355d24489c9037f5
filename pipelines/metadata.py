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

TRAIN = {"id": "string", "landmark_id": "int64"}
CLEAN = {"landmark_id": "int64", "images": "string"}
IDS = {"id": "string"}
URLS = {"id": "string", "url": "string"}
CELLS = {  # what a cell has to look like, and how to say so
    "id": ("^[0-9a-f]{16}$", "an id of 16 hex"),
    "landmark_id": ("^[0-9]{1,18}$", "an integer landmark_id"),
    "url": ("", "a URL"),  # whether it is one is seen when it is fetched
    "images": ("^[0-9a-f ]*$", "space-separated ids of 16 hex"),
}


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
    """The rows of a CSV, a block at a time, with only `columns`, each cell checked.

    Raises:
      UserError: naming the file, the row, what was expected and what came.
    """
    row = 2  # 1 is the header
    for table in _text_blocks(path, list(columns)):
        for name in columns:
            _check(path, row, table[name], *CELLS[name])
        yield table.cast(tables.arrow_schema(columns))
        row += len(table)


def train_rows(path: str) -> Iterator[pd.DataFrame]:
    """Blocks of train.csv: id, landmark_id."""
    for table in blocks(path, TRAIN):
        yield tables.frame(table)


def clean_ids(path: str) -> Iterator[pd.DataFrame]:
    """Blocks of train_clean.csv, a row for each image: id."""
    for table in blocks(path, CLEAN):
        found = pc.list_flatten(pc.ascii_split_whitespace(table["images"]))
        yield tables.frame(pa.table({"id": found.filter(pc.not_equal(found, ""))}))


def ids(path: str) -> Iterator[list[str]]:
    """Blocks of the `id` column of test.csv, train.csv or a sample submission, in its order."""
    for table in blocks(path, IDS):
        yield table["id"].to_pylist()


def urls(path: str) -> Iterator[list[tuple[str, str]]]:
    """Blocks of id and URL of train.csv, in its order."""
    for table in blocks(path, URLS):
        yield list(zip(table["id"].to_pylist(), table["url"].to_pylist(), strict=True))


def _text_blocks(path: str, columns: list[str]) -> Iterator[pa.Table]:
    convert = pa_csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, pa.string()),
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
        raise UserError(f"{path}: expected rows of {','.join(columns)}; {error}") from None


def _check(path: str, row: int, cells: pa.ChunkedArray, pattern: str, expected: str) -> None:
    """Names the first cell that does not fit; `row` is the first one's."""
    first = pc.index(pc.match_substring_regex(cells, pattern), False).as_py()
    if first >= 0:
        found = cells[first].as_py()
        raise UserError(f"{path} row {row + first}: expected {expected}, found {found!r}")
