"""gld2 validate-submission tells of every fault, with its rows."""

from __future__ import annotations

import pathlib
import re

import pytest

from pipelines import main
from pipelines.kaggle import csv_rows
from pipelines.sample.world import Summary
from tests.conftest import SHARED, needs_shared

IDS = [f"{digit:x}" * 16 for digit in range(8)]


class Folder:
    """A submission, and what it is looked at with."""

    def __init__(self, root: pathlib.Path, capsys: pytest.CaptureFixture[str]):
        self.root, self.capsys = root, capsys
        self.ids = self.write("ids.csv", "id\n" + "".join(f"{name}\n" for name in IDS))
        self.labels = self.write("labels.csv", "label,landmark_id,images\n0,5,3\n1,6,3\n")
        self.train = self.write(
            "train.csv", f"id,landmark_id\n{IDS[0]},5\n{IDS[1]},5\n{IDS[2]},6\n"
        )

    def write(self, name: str, content: str | bytes) -> pathlib.Path:
        path = self.root / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def look(self, content: str | bytes, **flags: object) -> tuple[int, str]:
        """The exit status, and what is printed."""
        flags = {"submission": self.write("s.csv", content), "ids": self.ids} | flags
        words = [f"--{name}={value}" for name, value in flags.items() if value]
        code = main.main(["validate-submission", *words])
        printed = self.capsys.readouterr()
        return code, printed.out + printed.err


@pytest.fixture
def folder(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def rows(*cells: str, ids=IDS) -> str:
    cells = cells + ("",) * (len(ids) - len(cells))
    return "id,landmarks\n" + "".join(f"{a},{b}\n" for a, b in zip(ids, cells, strict=True))


def test_a_good_one(folder: Folder):
    code, text = folder.look(rows("5 0.5", "6 .25"), labels=folder.labels)
    assert code == 0
    assert "8 rows = 2 predictions + 6 empty cells + 0 wrong cells + 0 wrong rows" in text
    assert text.endswith(": good\n")


CASES = {  # what is wrong -> content, and for each kind of fault its count, first row and cell
    "header": (rows().replace("landmarks", "landmark"), {"header": (1, 1, "id,landmark")}),
    "not UTF-8": (
        rows("5 1").encode().replace(b"5 1", b"5 \xe9"),
        {"not UTF-8": (1, 2, f"{IDS[0]},5 "), "missing id": (1, 2, IDS[0])},
    ),
    "cells": (rows("5,0.5"), {"cells": (1, 2, f"{IDS[0]},5,0.5"), "missing id": (1, 2, IDS[0])}),
    "malformed": (rows("", "5", "x 1", "5 1 6 1"), {"malformed cell": (3, 3, "5")}),
    "not finite": (rows("5 NaN", "5 inf", "5 -1e999"), {"not finite": (3, 2, "5 NaN")}),
    "repeated": (rows() + f"{IDS[3]},\n", {"repeated id": (1, 10, IDS[3])}),
    "extra": (rows() + "zz,\n" + f"{'9' * 16},\n", {"extra id": (2, 10, "zz")}),
    "missing": (rows(ids=IDS[:3] + IDS[5:]), {"missing id": (2, 5, IDS[3])}),
    "landmark": (rows("5 1", "7 1", "6 1", "8 1"), {"unknown landmark": (2, 3, "7 1")}),
    "empty": ("", {"header": (1, 1, ""), "missing id": (8, 2, IDS[0])}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("known", ["labels", "train"])
def test_each_fault_is_named_and_no_other(folder: Folder, case: str, known: str):
    content, expected = CASES[case]
    code, text = folder.look(content, **{known: getattr(folder, known)})
    assert code == 1
    assert text.splitlines()[-1].endswith(f"not good: {', '.join(expected)}")
    for kind, (count, row, cell) in expected.items():
        assert re.search(rf": {kind}: {count} \(expected .*\)\n.*  row {row}: .*{cell}", text)


def test_all_faults_are_told_in_one_run(folder: Folder):
    content = rows("5", "5 nan", "5,1", "77 1", ids=IDS[:7]) + f"{IDS[0]},\nzz,\n"
    _, text = folder.look(content.replace("landmarks", "x"), labels=folder.labels)
    kinds = ("header", "cells", "repeated id", "not finite", "malformed cell", "extra id",
             "missing id", "unknown landmark")  # fmt: skip
    assert text.splitlines()[-1].endswith(f"not good: {', '.join(kinds)}")
    assert "9 rows = 1 predictions + 5 empty cells + 2 wrong cells + 1 wrong rows" in text


def test_only_the_first_few_rows_are_named(folder: Folder):
    _, text = folder.look(rows(*["x" * 9999] * 8))
    assert text.count("  row ") == csv_rows.EXAMPLES
    assert "and 3 more" in text
    assert len(text) < 2000


def test_another_order_is_a_warning(folder: Folder):
    code, text = folder.look(rows(ids=[IDS[1], IDS[0], *IDS[2:]]))
    assert code == 0
    assert re.search(rf"warning: order: 1 \(.*\)\n.*  row 3: '{IDS[0]}'", text)
    assert text.endswith(": good\n")


def test_any_landmark_is_good_where_none_are_given(folder: Folder):
    assert folder.look(rows("123456 1"))[0] == 0


def test_a_file_that_is_too_large_is_told(folder: Folder, monkeypatch):
    monkeypatch.setattr(csv_rows, "MAX_BYTES", 100)
    code, text = folder.look(rows())
    assert code == 1
    assert "too large: 1 (expected at most 100 bytes)" in text


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"ids": "{root}/none.csv"}, "none.csv: cannot be read"),
        ({"submission": "{root}/none.csv"}, "none.csv: cannot be read"),
        ({"ids": None}, "expected one of --ids and --source"),
        ({"source": "{root}"}, "expected one of --ids and --source"),
        ({"ids": None, "source": "{root}/train"}, "found no metadata/test.csv or sample_sub"),
        ({"ids": "{root}/twice.csv"}, "twice.csv row 3: expected each id once, found"),
        ({"labels": "{root}/train.csv"}, "train.csv: expected the header label,landmark_id"),
        (
            {"train": "{root}/labels.csv", "labels": "x"},
            "--labels and --train: expected one of them",
        ),
        ({"train": "{root}/ids.csv"}, "ids.csv row 1: expected the columns landmark_id"),
    ],
)
def test_what_cannot_be_looked_at_exits_with_2(folder: Folder, flags, expected: str):
    folder.write("twice.csv", f"id\n{IDS[0]}\n{IDS[0]}\n")
    flags = {name: value and value.format(root=folder.root) for name, value in flags.items()}
    code, text = folder.look(rows(), **flags)
    assert code == 2
    assert expected in text
    assert len(text.splitlines()) == 1


def test_a_source_has_the_ids(folder: Folder, world: pathlib.Path, summary: Summary):
    listed = (world / "metadata" / "test.csv").read_text().split()[1:]
    code, text = folder.look(rows(ids=listed), ids=None, source=world)
    assert code == 0
    assert f" {len(listed)} rows = " in text


@needs_shared
def test_the_real_ids_are_all_looked_for(folder: Folder):
    ids = SHARED / "gld2-metadata" / "test.csv"
    listed = ids.read_text().split()[1:]
    assert folder.look(rows(ids=listed), ids=ids)[0] == 0
    code, text = folder.look(rows(ids=[*listed[:70_000], *listed[70_001:]]), ids=ids)
    assert code == 1
    assert re.search(rf"missing id: 1 \(.*\)\n.*  row 70002: '{listed[70_000]}'", text)
