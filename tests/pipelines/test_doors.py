"""`python -m MODULE` does what `gld2 COMMAND` does."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pytest

from pipelines import main
from tests.conftest import ROOT
from tests.pipelines import doors

WORDS = ("--help", "--no_such_flag=1")
QUESTIONS = [("sample",), *itertools.product(main.COMMANDS, WORDS)]


def python(*words: str, stdin: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, input=stdin, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, ...], list]:
    """Of each question, what both doors answer."""
    done = python("tests.pipelines.doors", stdin=json.dumps(QUESTIONS))
    assert done.stdout, done.stderr
    return dict(zip(QUESTIONS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("command", main.COMMANDS)
def test_help_and_a_wrong_flag_are_the_same_by_both_doors(answers, command: str):
    (by_gld2, by_module), (wrong_by_gld2, wrong_by_module) = (answers[command, w] for w in WORDS)
    assert (by_module, wrong_by_module) == (by_gld2, wrong_by_gld2)
    code, out, err = by_module
    assert (code, err) == (0, "")
    assert f"gld2 {command}" in out
    assert any(flag in out for flag in ("--output", "--job_dir", "--submission", "--json"))
    code, out, err = wrong_by_module
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"gld2 {command}: error: ")


@pytest.mark.parametrize(
    "question", [("sample",), ("compare", "--help"), ("validate-submission", "--no_such_flag=1")]
)
def test_a_process_of_its_own_answers_so_too(answers, question: tuple[str, ...]):
    command, *words = question
    done = python(doors.module(command), *words)
    assert done.returncode == (0 if "--help" in words else 2)
    assert done.stdout + done.stderr
    for answer in answers[question]:
        assert [done.returncode, done.stdout, done.stderr] == answer
