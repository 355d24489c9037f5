"""Submissions and solutions, as they come and as they come broken."""

from __future__ import annotations

import math
import pathlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common.errors import UserError
from pipelines.kaggle import csv_rows, submission


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "submission.csv"


def test_rows_are_those_asked_for_in_their_order(path: pathlib.Path):
    path.write_text(submission.write(["b", "a", "c"], {"a": (7, 0.25), "c": (8, -1e-3)}))
    assert path.read_text() == "id,landmarks\nb,\na,7 0.250000\nc,8 -0.001000\n"
    read = submission.read(str(path))
    assert read["id"].tolist() == ["b", "a", "c"]
    assert read["landmark_id"].tolist() == [-1, 7, 8]
    np.testing.assert_array_equal(read["score"], [np.nan, 0.25, -0.001])


@pytest.mark.parametrize(
    ("ids", "score", "expected"),
    [
        (["a", "a"], 0.5, "each id once, found 2 rows of 1 ids"),
        (["a"], float("nan"), "id a: expected a finite score, found nan"),
        (["a"], float("-inf"), "id a: expected a finite score, found -inf"),
    ],
)
def test_what_kaggle_would_refuse_is_not_written(ids, score, expected):
    with pytest.raises(UserError, match=expected):
        submission.write(ids, {"a": (7, score)})


@pytest.mark.parametrize(
    "content",
    [
        "id,landmarks\na,5 0.5\nb,\n",
        "id,landmarks\r\na,5 0.5\r\nb,\r\n",
        "\ufeffid,landmarks\na,5 0.5\nb,",
        '"id","landmarks"\n"a","5 0.5"\n"b",""\n',
        "id,landmarks\n\na,5 0.5\n\n\nb,\n\n",
    ],
)
@pytest.mark.parametrize("block", [7, csv_rows.BLOCK])
def test_a_submission_in_its_guises(path: pathlib.Path, monkeypatch, content: str, block: int):
    monkeypatch.setattr(csv_rows, "BLOCK", block)
    path.write_bytes(content.encode())
    read = submission.read(str(path))
    assert read["id"].tolist() == ["a", "b"]
    assert read["landmark_id"].tolist() == [5, -1]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("5 .5", 0.5),
        ("5 5.", 5),
        ("5 +1", 1),
        ("5 -2e3", -2000),
        ("5 1E-400", 0),
        ("5 1e308", 1e308),
    ],
)
def test_scores_are_any_finite_number(path: pathlib.Path, text: str, score: float):
    path.write_text(f"id,landmarks\na,{text}\n")
    assert submission.read(str(path))["score"].tolist() == [score]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,landmark\na,1 0.5\n", "row 1: expected the header id,landmarks, found 'id,landmark'"),
        ("", "row 1: expected the header id,landmarks, found an empty file"),
        ("id,landmarks\na,1 0.5\nb,x 0.5\n", "row 3: expected '<landmark_id> <score>' or nothing"),
        ("id,landmarks\na,1 nan\n", "row 2: expected a finite score, found '1 nan'"),
        ("id,landmarks\na,1 -Infinity\n", "row 2: expected a finite score"),
        ("id,landmarks\na,1 1e999\n", "row 2: expected a finite score"),
        ("id,landmarks\na,1 0.5\na,\n", "row 3: expected each id once, found 'a'"),
        ("id,landmarks\n\na,1 0.5\n\r\nb,x\n", "row 5: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,1 0.5 2 0.4\n", "row 2: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,1  0.5\n", "row 2: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,-1 0.5\n", "row 2: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,9999999999999999999 0.5\n", "row 2: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,\u0661 0.5\n", "row 2: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,1 0x1p3\n", "row 2: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,1,0.5\n", "row 2: expected 2 cells, found 'a,1,0.5'"),
        ("id,landmarks\na\nb,x\n", "row 2: expected 2 cells, found 'a'; and 1 more faults"),
        ('id,landmarks\na,"1 0.5\nb,\n', "row 2: expected '<landmark_id> <score>'"),
        (b"id,landmarks\na,\nb\xff,\n", "row 3: expected UTF-8"),
        ("id,landmarks\na,\n".encode("utf-16"), "row 1: expected the header"),
    ],
)
def test_malformed_submissions_name_the_row(path: pathlib.Path, text: str | bytes, expected: str):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=expected) as caught:
        submission.read(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,landmarks\na,\n", "row 1: expected the header id,landmarks,Usage"),
        ("id,landmarks,Usage\na,,public\n", "row 2: expected Public or Private or Ignored, found"),
    ],
)
def test_malformed_solutions_name_the_row(path: pathlib.Path, text: str, expected: str):
    path.write_text(text)
    with pytest.raises(UserError, match=expected) as caught:
        submission.read_solution(str(path))
    assert str(path) in str(caught.value)


CELL = re.compile(r"([0-9]{1,18}) ([-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?)")
pieces = ["a", "a,", ",", "5 .5", "15 1e9", "7 -1e999", "5 nan", " ", "\n", "\r\n", '"', "\u00e9"]
texts = st.lists(st.sampled_from(pieces), max_size=20).map(lambda some: "".join(some).encode())


@given(texts | st.binary(max_size=30), st.sampled_from([3, csv_rows.BLOCK]))
def test_whatever_comes_is_read_as_a_row_at_a_time_would(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, block: int
):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"id,landmarks\n" + content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BLOCK", block)
        found = submission.parse(str(path))
    rows = {}
    for number, line in enumerate(content.split(b"\n"), start=2):
        try:
            cells = [re.sub('^"([^"]*)"$', r"\1", c) for c in _text(line).split(",")]
        except UnicodeDecodeError:
            continue
        if len(cells) == 2:
            good = CELL.fullmatch(cells[1])
            score = float(good[2]) if good and math.isfinite(float(good[2])) else None
            rows[number] = (cells[0], int(good[1]) if good and score is not None else None, score)
    assert found.numbers.tolist() == list(rows)
    columns = (found.ids, found.landmarks, found.scores)
    assert list(zip(*(column.to_pylist() for column in columns), strict=True)) == [*rows.values()]


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode()


def test_a_file_that_is_not_there_is_named(path: pathlib.Path):
    for read in (submission.read, submission.read_solution):
        with pytest.raises(UserError, match=f"{path}: cannot be read"):
            read(str(path))


def test_a_file_is_read_so_far_and_no_further(path: pathlib.Path, monkeypatch):
    monkeypatch.setattr(csv_rows, "BLOCK", 20)
    monkeypatch.setattr(csv_rows, "MAX_BYTES", 50)
    path.write_text("id,landmarks\n" + "".join(f"{n},\n" for n in range(1000)))
    with pytest.raises(UserError, match="row 11: expected at most 50 bytes, found more"):
        submission.read(str(path))
    with pytest.raises(UserError, match="expected at most 50 bytes, found more"):
        submission.read_solution(str(path))
