"""What `make bench` says of ratios that fell, are missing or are new."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks import floor
from tests.benchmarks.floor import Outcome


@pytest.fixture
def committed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    path = tmp_path / "floor.json"
    path.write_text(json.dumps({"dedupe": {"recall": 0.8}, "score": {"speed": 2.0}}))
    monkeypatch.setattr(bench, "FLOOR", path)
    return path


def judged(monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path, **outcomes: Outcome) -> int:
    """The exit code, and what is written, of benchmarks that give this."""
    monkeypatch.setattr(bench, "in_a_process", lambda name, log: outcomes[name])
    return bench.main(["--only", *outcomes, f"--output={folder / 'bench'}"])


@pytest.mark.parametrize(
    ("outcome", "code", "told"),
    [
        (Outcome({"recall": [0.2, 0.61, 0.9]}), 0, "no ratio is below"),
        (Outcome({"recall": [0.7, 0.59, 0.1]}), 1, "dedupe: recall: fell to 0.59"),
        (Outcome({"recall": [float("nan")]}), 1, "dedupe: recall: fell to nan"),
        (Outcome({"speed": [1.0]}), 1, "dedupe: recall: committed (0.8), and not measured"),
        (Outcome({"recall": [1.0], "new": [3.0]}), 1, "dedupe: new: 3.0, and none is committed"),
        (Outcome(skipped="needs a camera"), 0, "needs a camera"),
        (Outcome(failed="Traceback"), 1, "dedupe failed:\nTraceback"),
    ],
)
def test_the_exit_code_and_what_is_told(
    outcome: Outcome, code: int, told: str, committed, tmp_path, monkeypatch, capsys
):
    assert judged(monkeypatch, tmp_path, dedupe=outcome) == code
    assert told in capsys.readouterr().out
    found = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert found["dedupe"]["skipped"] == outcome.skipped
    assert "| dedupe | 0 |" in (tmp_path / "bench" / "bench.md").read_text()


def test_update_keeps_what_was_not_measured(committed: pathlib.Path):
    outcomes = {"dedupe": Outcome({"new": [1.0, 3.0]}), "shard": Outcome(failed="Traceback")}
    updated = floor.updated(outcomes, json.loads(committed.read_text()))
    assert updated == {"dedupe": {"new": 2.0}, "score": {"speed": 2.0}}


def test_every_benchmark_is_run():
    modules = pathlib.Path(bench.__file__).parent.glob("*.py")
    found = {path.stem for path in modules if "\ndef ratios(" in path.read_text()}
    assert found == set(bench.NAMES)
