"""What is said of an error, on one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common.errors import in_one_line


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (ValueError("as it is: 5"), "as it is: 5"),
        (ValueError("\n first \n\t second\r\n"), "first second"),
        (OSError(2, "No such file"), "[Errno 2] No such file"),
        ("caf\u00e9 \x1b[31m\x00", r"caf\xe9 \x1b[31m\x00".replace(r"\xe9", "\u00e9")),
        (ValueError(), ""),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "..."),
    ],
)
def test_one_line(said: object, line: str):
    assert in_one_line(said) == line


@given(st.text(), st.integers(0, 50))
def test_it_is_one_and_bounded(said: str, limit: int):
    line = in_one_line(said, limit)
    assert line.isprintable()
    assert len(line) <= limit + len("...")
