"""Reads and writes Parquet files with the columns that schema.py names."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.common.errors import UserError
from pipelines.storage import filesystem
from pipelines.storage.hashing import sha256


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Returns the Arrow schema of columns, name -> Arrow's name of a type or list<...> of it."""
    return pa.schema([(name, _type(kind)) for name, kind in columns.items()])


def _type(kind: str) -> pa.DataType:
    inner = kind.removeprefix("list<").removesuffix(">")
    return pa.type_for_alias(kind) if inner == kind else pa.list_(pa.type_for_alias(inner))


def frame(table: pa.Table) -> pd.DataFrame:
    """Returns a table as DataFrame with Arrow's types, so that 64-bit hashes stay exact."""
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def from_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Returns dicts as DataFrame; pandas alone would make floats of integers beside a null."""
    return frame(pa.Table.from_pylist(list(rows), arrow_schema(columns)))


def to_rows(data: pd.DataFrame, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns the rows of a DataFrame as dicts, with None for nulls."""
    return pa.Table.from_pandas(data, arrow_schema(columns), preserve_index=False).to_pylist()


def empty(columns: Mapping[str, str]) -> pd.DataFrame:
    """Returns a DataFrame with these columns and no rows."""
    return frame(arrow_schema(columns).empty_table())


def write(path: str, data: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """Writes columns of a DataFrame to a Parquet file; the same rows give the same bytes.

    Args:
      path: of the file.
      data: a DataFrame; other columns are left out.
      columns: name -> Arrow type.

    Returns:
      The SHA-256 of the file.
    """
    schema = arrow_schema(columns)
    table = pa.Table.from_pandas(data[list(columns)], schema, preserve_index=False)
    return write_table(path, table)


def write_table(path: str, table: pa.Table) -> str:
    """Writes an Arrow table to a Parquet file; returns the file's SHA-256."""
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(None), out, compression="zstd")
    filesystem.write(path, out.getvalue())
    return sha256(out.getvalue())


def read(path: str, columns: Mapping[str, str], digest: str | None = None) -> pd.DataFrame:
    """Returns columns of a Parquet file as DataFrame.

    Args:
      path: of the file.
      columns: name -> Arrow type.
      digest: the SHA-256 that `write` returned, or None for any file.

    Raises:
      UserError: the file is not Parquet, has another digest, or lacks a column.
    """
    return frame(read_table(path, columns, digest))


def read_table(path: str, columns: Mapping[str, str], digest: str | None = None) -> pa.Table:
    """Returns columns of a Parquet file as Arrow table; see `read`."""
    data = filesystem.read(path)
    if digest and sha256(data) != digest:
        raise UserError(f"{path}: its digest differs from done.json; run gld2 curate again")
    try:
        table = pq.read_table(pa.BufferReader(data), columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: expected a Parquet file, found: {error}") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise UserError(f"{path}: lacks the columns {', '.join(missing)}")
    return table.cast(arrow_schema(columns))
