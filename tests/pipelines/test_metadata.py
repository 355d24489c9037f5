"""The published CSVs, as they come and as they come broken."""

from __future__ import annotations

import pathlib

import pandas as pd
import pytest

from pipelines import metadata
from pipelines.schema import UserError
from tests.conftest import SHARED, needs_shared

A, B = "a" * 16, "b" * 16


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "train.csv"


def rows(path: pathlib.Path) -> list[tuple[str, int]]:
    table = pd.concat(list(metadata.train_rows(str(path))))
    return list(table[["id", "landmark_id"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    "content",
    [
        f"id,url,landmark_id\n{A},http://x,5\n{B},http://y,6\n",
        f"landmark_id,id\n5,{A}\n6,{B}\n",
        f"id,landmark_id\r\n{A},5\r\n{B},6\r\n",
        f"\ufeffid,landmark_id\n{A},5\n{B},6\n",
        f"id,landmark_id\n{A},5\n{B},6",
        f'id,url,landmark_id\n{A},"a, ""b""\nand c",5\n{B},,6\n',
        f",id,landmark_id\n0,{A},5\n1,{B},6\n",
    ],
)
def test_train_csv_in_its_guises(path: pathlib.Path, content: str):
    path.write_bytes(content.encode())
    metadata.check_header(str(path), metadata.TRAIN)
    assert rows(path) == [(A, 5), (B, 6)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"id,landmark_id\n{A},5.0\n", r"row 2: expected an integer landmark_id, found '5\.0'"),
        (f"id,landmark_id\n{A},\n", "row 2: expected an integer landmark_id, found ''"),
        (f"id,landmark_id\n{A},5\n{A[:15]},6\n", "row 3: expected an id of 16 hex"),
        (f"id,landmark_id\n{A.upper()},5\n", "row 2: expected an id of 16 hex"),
        (f"id,landmark_id\n{A},5,7\n", "Expected 2 columns, got 3"),
    ],
)
def test_bad_rows_name_the_file(path: pathlib.Path, content: str, expected: str):
    path.write_text(content)
    with pytest.raises(UserError, match=expected) as caught:
        rows(path)
    assert str(path) in str(caught.value)


def test_a_row_is_named_beyond_the_first_block(path: pathlib.Path, monkeypatch):
    monkeypatch.setattr(metadata, "BLOCK", 1000)
    lines = [f"{i:016x},{i}" for i in range(500)]
    lines[321] = "oops,1"
    path.write_text("\n".join(["id,landmark_id", *lines]))
    with pytest.raises(UserError, match=r"row 323: .*'oops'"):
        rows(path)


def test_a_missing_column_is_named(path: pathlib.Path):
    path.write_text("id,landmark\n")
    with pytest.raises(UserError, match=r"row 1: .*landmark_id not in"):
        metadata.check_header(str(path), metadata.TRAIN)
    with pytest.raises(UserError, match="cannot be read"):
        metadata.check_header(str(path.parent / "none.csv"), metadata.TRAIN)


def test_clean_ids_are_a_row_each(path: pathlib.Path):
    path.write_text(f"landmark_id,images\n5,{A} {B}\n6,\n7,{A}\n")
    assert pd.concat(list(metadata.clean_ids(str(path))))["id"].tolist() == [A, B, A]


@needs_shared
def test_real_rows():
    folder = SHARED / "gld2-metadata"
    real = rows(folder / "train_rows_sample.csv")
    assert len(real) == 4000
    assert real[0] == ("67986ac7178e0fae", 31837)
    ids = [i for block in metadata.ids(str(folder / "test.csv")) for i in block]
    assert len(set(ids)) == 117_577
