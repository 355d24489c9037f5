"""--help waits for nothing: no command imports what it computes with before it has its flags."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pipelines import main
from tests.conftest import ROOT

HEAVY = (
    *("apache_beam", "tensorflow", "keras", "jax", "pandas", "pyarrow", "PIL", "scipy"),
    *("matplotlib", "google.cloud", "google.api_core", "requests"),
)


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """Of each command, what is heavy and was imported."""
    command = [sys.executable, "-m", "tests.pipelines.imported", *HEAVY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", main.COMMANDS)
def test_help_imports_nothing_heavy(imported, command: str):
    assert imported[command] == []
