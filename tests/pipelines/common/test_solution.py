"""The solution file as text: its guises, and what is said of one that is wrong."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common import solution
from pipelines.common.errors import UserError
from tests.conftest import SHARED, needs_shared

REAL = SHARED / "gld2-metadata" / "recognition_solution_v2.1.csv"
GOOD = "id,landmarks,Usage\na,5 6,Public\nb,,Ignored\n"


def columns(text: str) -> list[tuple[str, str, str]]:
    found = solution.parse(text)
    return list(zip(found.ids, found.landmarks, found.usages, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.removesuffix("\n"),
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\n\n"),
        "\n\r\n" + GOOD,
        '"id","landmarks","Usage"\n"a","5 6","Public"\n"b","",Ignored\n',
    ],
)
def test_guises(text: str):
    assert columns(text) == [("a", "5 6", "Public"), ("b", "", "Ignored")]


def test_a_solution_of_no_query():
    assert columns("id,landmarks,Usage\n") == []
    assert [column.tolist() for column in solution.truth(np.array([], object))] == [[], []]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a,5\n", "s.csv row 2: expected 3 cells, found 'a,5'"),
        ("a,5,Public,\n", "s.csv row 2: expected 3 cells, found 'a,5,Public,'"),
        ("\n\na,x,Public\n", "s.csv row 4: expected space-separated integers or nothing, found"),
        ("a,5 ,Public\n", "s.csv row 2: expected space-separated integers or nothing, found '5 '"),
        ("a,1234567890123456789,Public\n", "s.csv row 2: expected space-separated integers or "),
        ("a,\u0661,Public\n", "s.csv row 2: expected space-separated integers or nothing"),
        ("a,,Public\n\na,,Public\n", "s.csv row 4: expected each id once, found 'a'"),
        ("a,,private\n", "s.csv row 2: expected Public or Private or Ignored, found 'private'"),
        ("\udce9,5,Public\n", "s.csv row 2: expected UTF-8, found '\ufffd,5,Public'"),
        ('a,"5,Public\nb,,Public\n', "s.csv row 2: expected space-separated integers or nothing"),
        ("a,5.0,Public\n", "s.csv row 2: expected space-separated integers or nothing"),
        ("a,x\nb,x,y\nb,,Public\n", "row 2: expected 3 cells, found 'a,x'; and 3 more faults"),
        ("a," + "x" * 999 + ",Public\n", f"found '{'x' * 100}'"),
    ],
)
def test_the_first_fault_is_named(rows: str, expected: str):
    with pytest.raises(UserError) as caught:
        solution.parse("id,landmarks,Usage\n" + rows, "s.csv")
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty file"),
        ("\n\n", "an empty file"),
        ("id,landmarks\n", "id,landmarks"),
        ("id\x00,x\n", r"id\x00,x"),
    ],
)
def test_the_header_is_checked(text: str, found: str):
    with pytest.raises(UserError) as caught:
        solution.parse(text, "s.csv")
    said = str(caught.value)
    assert said == f"s.csv row 1: expected the header id,landmarks,Usage, found {found}"


pieces = st.sampled_from(["a", "b", ",", "5", " 6", "\n", "\r\n", '"', "Public", "a,,Private\n"])


@given(st.lists(pieces, max_size=20).map("".join) | st.text(max_size=30))
def test_whatever_comes_is_good_or_named(text: str):
    try:
        rows = columns("id,landmarks,Usage\n" + text)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert len({image_id for image_id, *_ in rows}) == len(rows)
        assert all(usage in solution.USAGES for *_, usage in rows)


def test_landmarks_of_cells():
    places, landmarks = solution.truth(np.array(["", "7", "", "8 9"], object))
    assert places.tolist() == [1, 3, 3]
    assert landmarks.tolist() == [7, 8, 9]


@needs_shared
def test_the_real_solution_is_what_the_csv_module_reads():
    text = REAL.read_text()
    assert columns(text) == [tuple(row.values()) for row in csv.DictReader(io.StringIO(text))]
