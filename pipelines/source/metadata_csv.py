"""Reads and checks the published CSVs in blocks of rows, by columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipelines.common import schema
from pipelines.common.errors import UserError, in_one_line
from pipelines.storage import parquet, streams

BLOCK = 8 << 20  # bytes of CSV read at a time
MAX_HEADER = 1 << 16  # bytes

TRAIN = {"id": "string", "landmark_id": "int64"}
CLEAN = {"landmark_id": "int64", "images": "string"}
CLEAN_IDS = TRAIN  # of the clean list with a row for each image
IDS = {"id": "string"}
URLS = {"id": "string", "url": "string"}
CREDIT = {name: "string" for name in ("id", *schema.ATTRIBUTION)}
ATTRIBUTION = {"id": "string", "author": "string", "license": "string"}
CATEGORY = {"landmark_id": "int64", "category": "string"}
CELLS = {  # column -> pattern of its cells, and its name in errors; others are free text
    "id": ("^[0-9a-f]{16}$", "an id of 16 hex"),
    "landmark_id": ("^[0-9]{1,18}$", "an integer landmark_id"),
    "images": ("^ *([0-9a-f]{16}( +|$))*$", "space-separated ids of 16 hex"),
}
MAX_SHOWN = 100  # characters of the found text in an error


def header(path: str) -> list[str]:
    """Returns the column names in a CSV's first row; none where the file is empty.

    Raises:
      UserError: the file cannot be read.
    """
    with streams.open_input(path) as stream:
        head = stream.read(MAX_HEADER)
    text = io.StringIO(head.decode("utf-8-sig", "replace"), newline="")
    return next(filter(None, csv.reader(text)), [])


def check_header(path: str, columns: Mapping[str, str]) -> None:
    """Raises where the header of a CSV does not have each of `columns` exactly once.

    Raises:
      UserError: the file cannot be read, lacks a column or has one twice.
    """
    found = header(path)
    wrong = [name for name in columns if found.count(name) != 1]
    if wrong:
        shown = str(found)[:MAX_SHOWN] if found else "an empty file"
        raise UserError(
            f"{path} row 1: expected the columns {','.join(columns)}, each once; "
            f"{', '.join(wrong)} {'twice' if wrong[0] in found else 'not'} in {shown}"
        )


def blocks(path: str, columns: Mapping[str, str]) -> Iterator[pa.Table]:
    """Yields blocks of a CSV's rows with `columns` alone, each cell checked.

    Row 1 is the header. Quoted cells may contain line breaks and blank lines are skipped, so
    the numbers of rows in errors are not those of lines.

    Raises:
      UserError: a cell is malformed, the file cannot be read, or a column is missing.
    """
    row = 2  # the header is row 1
    for table in _text_blocks(path, list(columns)):
        for name in (name for name in columns if name in CELLS):
            _check(path, row, table[name], *CELLS[name])
        yield table.cast(parquet.arrow_schema(columns))
        row += len(table)


def check(path: str | None, columns: Mapping[str, str]) -> None:
    """Reads a CSV to its end; does nothing where there is none.

    Raises:
      UserError: a cell is malformed, the file cannot be read, or a column is missing.
    """
    for _ in blocks(path, columns) if path else ():
        pass


def train_rows(path: str) -> Iterator[pd.DataFrame]:
    """Yields blocks of train.csv: id, landmark_id."""
    for table in blocks(path, TRAIN):
        yield parquet.frame(table)


def clean_ids(path: str) -> Iterator[pd.DataFrame]:
    """Yields blocks of train_clean.csv, with a row for each image: id, landmark_id."""
    for table in blocks(path, CLEAN):
        images = pc.ascii_split_whitespace(table["images"])
        landmarks = table["landmark_id"].take(pc.list_parent_indices(images))
        found = pa.table({"id": pc.list_flatten(images), "landmark_id": landmarks})
        yield parquet.frame(found.filter(pc.not_equal(found["id"], "")))


def ids(path: str) -> Iterator[list[str]]:
    """Yields blocks of the column `id` of test.csv, train.csv or a sample submission."""
    for table in blocks(path, IDS):
        yield table["id"].to_pylist()


def urls(path: str) -> Iterator[list[tuple[str, str]]]:
    """Yields blocks of (id, URL) of train.csv, in the file's order."""
    for table in blocks(path, URLS):
        yield list(zip(table["id"].to_pylist(), table["url"].to_pylist(), strict=True))


def attributions(path: str) -> Iterator[pd.DataFrame]:
    """Yields blocks of train_attribution.csv: id, url, author, license, title."""
    for table in blocks(path, CREDIT):
        yield parquet.frame(table)


def _text_blocks(path: str, columns: list[str]) -> Iterator[pa.Table]:
    convert = pa_csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, pa.string()),
        strings_can_be_null=False,
    )
    try:
        with (
            streams.open_stream(path) as stream,
            pa_csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                pa_csv.ReadOptions(block_size=BLOCK, use_threads=False),
                pa_csv.ParseOptions(newlines_in_values=True),
                convert,
            ) as reader,
        ):
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, streams.Unreachable, KeyError) as error:
        said = in_one_line(error)  # Arrow quotes the row with its line breaks
        raise UserError(f"{path}: expected rows of {','.join(columns)}; {said}") from None


def _check(path: str, row: int, cells: pa.ChunkedArray, pattern: str, expected: str) -> None:
    """Raises UserError for the first cell that does not match; `row` is the first cell's."""
    first = pc.index(pc.match_substring_regex(cells, pattern), False).as_py()
    if first >= 0:
        found = cells[first].as_py()[:MAX_SHOWN]
        raise UserError(
            f"{path} row {row + first}: expected {expected}, found {found!r} "
            "(rows are counted, not lines)"
        )
