"""Tables of text, as a reader sees them."""

from __future__ import annotations

from pipelines.common import tables

HEAD = ("name", "n")
ROWS = [("a", 1), ("longer", 20)]


def test_markdown():
    assert tables.markdown(HEAD, ROWS) == [
        "| name | n |",
        "| --- | --- |",
        "| a | 1 |",
        "| longer | 20 |",
    ]


def test_padded_markdown():
    assert tables.markdown(HEAD, ROWS, padded=True) == [
        "| name   | n  |",
        "| ------ | -- |",
        "| a      | 1  |",
        "| longer | 20 |",
    ]


def test_plain():
    assert tables.plain([HEAD, *ROWS], "<>") == [
        "name     n",
        "a        1",
        "longer  20",
    ]


def test_nothing_but_a_head():
    assert tables.markdown(HEAD, []) == ["| name | n |", "| --- | --- |"]
    assert tables.plain([("", "n")], "<<") == ["  n"]


def test_no_line_ends_in_blanks():
    assert tables.plain([("a", ""), ("b", "c")], "<<") == ["a", "b  c"]
