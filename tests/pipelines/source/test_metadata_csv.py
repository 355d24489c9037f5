"""The published CSVs, as they come and as they come broken."""

from __future__ import annotations

import pathlib

import pandas as pd
import pytest

from pipelines.common.errors import UserError
from pipelines.source import metadata_csv
from tests.conftest import SHARED, needs_shared

A, B = "a" * 16, "b" * 16


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "train.csv"


def rows(path: pathlib.Path) -> list[tuple[str, int]]:
    table = pd.concat(list(metadata_csv.train_rows(str(path))))
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
        f'"id","landmark_id"\n"{A}","5"\n"{B}","6"\n',
        f'"a\nnote",id,landmark_id\n"x\ny",{A},5\n,{B},6\n',
        f"\ufeff,id,landmark_id\r\n0,{A},5\r\n\r\n1,{B},6\r\n\r\n",
        f"id,landmark_id\r{A},5\r{B},6\r",
    ],
)
def test_train_csv_in_its_guises(path: pathlib.Path, content: str):
    path.write_bytes(content.encode())
    metadata_csv.check_header(str(path), metadata_csv.TRAIN)
    assert rows(path) == [(A, 5), (B, 6)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"id,landmark_id\n{A},5.0\n", r"row 2: expected an integer landmark_id, found '5\.0'"),
        (f"id,landmark_id\n{A},\n", "row 2: expected an integer landmark_id, found ''"),
        (f"id,landmark_id\n{A},5\n{A[:15]},6\n", "row 3: expected an id of 16 hex"),
        (f"id,landmark_id\n{A.upper()},5\n", "row 2: expected an id of 16 hex"),
        (f"id,landmark_id\n{A},5\n{A},5,7\n", "Row #3: Expected 2 columns, got 3"),
        (f"id,landmark_id\n{A},-5\n", "row 2: expected an integer landmark_id, found '-5'"),
        (f"id,landmark_id\n{A},5e3\n", "row 2: expected an integer landmark_id"),
        ("id,landmark_id\n,5\n", "row 2: expected an id of 16 hex, found ''"),
        (f'id,landmark_id\n"{A}\n",5\n', "row 2: expected an id of 16 hex"),
        (f'id,landmark_id\n{A},"5\n{B},6\n', r"row 2: expected an integer .*, found '5\\n"),
        (f"id,landmark_id\n{'x' * 5000},5\n", "found 'x{100}' "),
        ("", "expected rows of id,landmark_id; Empty CSV file"),
    ],
)
def test_bad_rows_name_the_file(path: pathlib.Path, content: str, expected: str):
    path.write_text(content)
    with pytest.raises(UserError, match=expected) as caught:
        rows(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [300, metadata_csv.BLOCK])
def test_rows_are_counted_and_not_lines(path: pathlib.Path, monkeypatch, newline: str, block: int):
    monkeypatch.setattr(metadata_csv, "BLOCK", block)
    good = newline.join([f'{A},"one\r\ntwo\n\nthree",5'] * 30)
    path.write_bytes(newline.join(["id,title,landmark_id", good, f"{B},x,5.5", ""]).encode())
    with pytest.raises(UserError, match=r"row 32: .*'5\.5' \(rows are counted, not lines\)"):
        rows(path)


def test_bytes_that_are_no_text_are_no_matter_in_other_columns(path: pathlib.Path):
    path.write_bytes(b"id,title,landmark_id\n" + A.encode() + b",\xe9,5\n")
    assert rows(path) == [(A, 5)]
    with pytest.raises(UserError, match="invalid UTF8"):
        list(metadata_csv.blocks(str(path), {"title": "string"}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,landmark\n", r"row 1: expected the columns id,landmark_id.*; landmark_id not in "),
        ("id;landmark_id\n", r"; id, landmark_id not in \['id;landmark_id'\]"),
        ("id,landmark_id,id\n", "; id twice in "),
        ("", "; id, landmark_id not in an empty file"),
        ("\n\n", "; id, landmark_id not in an empty file"),
        ("<html>" * 10_000, "row 1: expected the columns"),
    ],
)
def test_a_bad_header_is_named(path: pathlib.Path, content: str, expected: str):
    path.write_text(content)
    with pytest.raises(UserError, match=expected) as caught:
        metadata_csv.check_header(str(path), metadata_csv.TRAIN)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_a_file_that_is_not_there_is_named(path: pathlib.Path):
    with pytest.raises(UserError, match="cannot be read"):
        metadata_csv.check_header(str(path.parent / "none.csv"), metadata_csv.TRAIN)


def test_a_header_alone_has_no_rows(path: pathlib.Path):
    path.write_text("id,landmark_id\n")
    metadata_csv.check_header(str(path), metadata_csv.TRAIN)
    assert sum(map(len, metadata_csv.train_rows(str(path)))) == 0


def clean(path: pathlib.Path) -> list[tuple[str, int]]:
    table = pd.concat(list(metadata_csv.clean_ids(str(path))))
    return list(table[["id", "landmark_id"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("block", [60, metadata_csv.BLOCK])
def test_clean_ids_are_a_row_each(path: pathlib.Path, monkeypatch, block: int):
    monkeypatch.setattr(metadata_csv, "BLOCK", block)
    path.write_text(f"landmark_id,images\n5,{A} {B}\n6,\n7, {A}  {B} \n8,{B}\n")
    assert clean(path) == [(A, 5), (B, 5), (A, 7), (B, 7), (B, 8)]


@pytest.mark.parametrize(
    ("images", "found"),
    [(A[:15], A[:15]), (A + B, A + B), (f"{A},{B}", f"{A},{B}"), (A.upper(), A.upper())],
)
def test_bad_clean_ids_name_the_row(path: pathlib.Path, images: str, found: str):
    path.write_text(f'images,landmark_id\n{A} {B},5\n"{images}",6\n')
    with pytest.raises(UserError, match=f"row 3: expected space-separated ids .* found '{found}'"):
        clean(path)


@needs_shared
def test_real_rows():
    folder = SHARED / "gld2-metadata"
    real = rows(folder / "train_rows_sample.csv")
    assert len(real) == 4000
    assert real[0] == ("67986ac7178e0fae", 31837)
    ids = [i for block in metadata_csv.ids(str(folder / "test.csv")) for i in block]
    assert len(set(ids)) == 117_577
