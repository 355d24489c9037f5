"""The command line: it teaches, and says what is wrong in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines import main
from tests.conftest import ROOT, gld2


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]):
    assert main.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in main.COMMANDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["prepar"], "no command 'prepar'"),
        (["prepare", "--output", "x"], "--source"),
        (["prepare", "--source", "{tmp}/no", "--output", "{tmp}/x"], "found no photos"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--bad=1"], "unknown flag: --bad"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--seed=x"], "--seed"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--seed=-1"], "--seed"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--split=all"], "--split"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--archives=a"], "--archives"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--limit=0"], "--limit"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--validation=2"], "--validation"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--version=1"], "--version"),
        (["curate", "--source", "{tmp}", "--output", "{tmp}/x"], "nothing is staged"),
        (["prepare", "--source", "{tmp}", "--output", "{tmp}/x", "--from_urls"], "--contact"),
        (["shard", "--output", "{tmp}/x"], "run gld2 curate first"),
        (["score", "--model", "{tmp}/m", "--output", "{tmp}/s.csv"], "--source or --images"),
        (["score", "--model", "{tmp}/m", "--output", "{tmp}/s.csv", "--source", "{tmp}"], "model"),
        (["embed", "--model", "{tmp}/m", "--output", "{tmp}/e"], "--source or --images"),
        (["evaluate", "--submission", "{tmp}/s", "--solution", "{tmp}/t"], "cannot be read"),
        (["report", "--output", "{tmp}/x"], "run gld2 prepare first"),
        (["plan", "--deadline", "soon"], "--deadline"),
        (["train", "--data", "{tmp}/x", "--job_dir", "{tmp}/j"], "{tmp}/x"),
        (["train", "--data", "{tmp}/x"], "--job_dir"),
        (["describe"], "BACKBONE"),
        (["describe", "alexnet"], "expected one of efficientnet_b0"),
        (["describe", "resnet50", "--alpha", "0.5"], "--alpha is for mobilenet"),
        (["describe", "efficientnet", "--phi", "1e9"], "--phi"),
        (["describe", "vgg16", "--image_size", "8"], "--image_size"),
        (["describe", "vgg16", "--classes", "0"], "--classes"),
        (["describe", ""], "BACKBONE: expected a value, found ''"),
        (["report", "--output="], "--output: expected a value, found ''"),
        (["score", "--model=m", "--output=", "--source=s"], "--output: expected a value, found ''"),
        (["embed", "--model=", "--output=x"], "--model: expected a value, found ''"),
        (["train", "--data=", "--job_dir=x"], "--data: expected a value, found ''"),
        (["train", "--data=x", "--job_dir="], "--job_dir: expected a value, found ''"),
        (["validate-submission", "--submission="], "--submission: expected a value, found ''"),
    ],
)
def test_a_mistake_is_one_line(words, expected, tmp_path, capsys):
    words = [word.format(tmp=tmp_path) for word in words]
    assert main.main(words) == 2
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("gld2")
    assert "error: " in printed.err
    assert expected.format(tmp=tmp_path) in printed.err


def test_no_traceback_from_a_process_of_its_own(tmp_path):
    done = gld2("prepare", source=tmp_path / "no", output=tmp_path / "x", check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(main.COMMANDS, "prepare", ("no_such_module", "pipelines", ""))
    assert main.main(["prepare"]) == 2
    assert "no_such_module is not installed; install gld2 from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["describe", "--help"], 0), (["describe"], 2), ([], 2)]
)
def test_exit_codes_of_a_process_of_its_own(words, code):
    assert gld2(*words, check=False).returncode == code


def test_a_process_ends_with_its_code_whatever_a_library_does_as_it_ends():
    """A library that aborts where Python's own end comes after all exit handlers."""
    script = (
        "import ctypes, sys; from pipelines import main;"
        "main.main = lambda: print('done') or 3;"
        "ctypes.pythonapi.Py_AtExit(ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p));"
        "main.console()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "done\n")


def test_what_nobody_expected_is_one_line_and_a_traceback_where_one_asks_for_it(
    monkeypatch, capsys
):
    def fails(flags):
        return 1 / 0

    monkeypatch.setattr("pipelines.sample.command.main", fails)
    assert main.main(["sample"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gld2 sample: error: ZeroDivisionError: division by zero (unexpected;")
    monkeypatch.setenv("GLD2_DEBUG", "1")
    assert main.main(["sample"]) == 1
    *before, last = capsys.readouterr().err.splitlines()
    assert before[0].startswith("Traceback")
    assert last == line
