"""A dozen storms, others each day; `python -m tests.storm --seed N` replays one."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from tests.storm import run

STORMS = 12


@pytest.fixture(scope="session")
def calms(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("calms")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(STORMS))
def test_after_a_storm_the_bytes_are_those_of_a_calm_run(number: int, calms, tmp_path, capsys):
    seed = datetime.date.today().toordinal() * STORMS + number
    outcome = run.run(seed, calms, tmp_path / "run")
    with capsys.disabled():
        print(f"\nstorm {seed}", *outcome.lines, sep="\n  ")
    assert not outcome.wrong
