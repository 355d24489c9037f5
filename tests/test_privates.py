"""Tests name nothing private as a string either; what they import and access, ruff looks at."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import ROOT

BY_NAME = ("setattr", "getattr", "delattr", "hasattr", "patch", "object", "attrgetter")
PRIVATE = re.compile(r"(^|\.)_(?!_\w+__$)")
# Beam looks for Google's credentials and offers no way to say that there are none.
ALLOWED = {"pipelines/conftest.py": ["_credentials_init"]}


def named(source: str) -> list[str]:
    """The private names that calls have as strings, as in setattr(module, "_name", ...)."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    by_name = [call for call in calls if ast.unparse(call.func).split(".")[-1] in BY_NAME]
    words = [word.value for call in by_name for word in call.args if isinstance(word, ast.Constant)]
    return [word for word in words if isinstance(word, str) and PRIVATE.search(word)]


def test_no_test_names_what_is_private():
    files = {path.relative_to(ROOT / "tests"): path for path in (ROOT / "tests").rglob("*.py")}
    found = {str(name): named(path.read_text()) for name, path in files.items()}
    assert len(found) > 100
    assert {name: names for name, names in found.items() if names} == ALLOWED


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("monkeypatch.setattr(streams, '_wait', lambda state: 0.0)", ["_wait"]),
        ("mock.patch('trainer.export._serve')", ["trainer.export._serve"]),
        ("getattr(export, '__name__')", []),
        ("name.replace('_', '-')", []),
    ],
)
def test_a_private_name_is_found(line: str, expected: list[str]):
    assert named(line) == expected
