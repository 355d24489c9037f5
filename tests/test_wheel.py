"""The wheel has every room, with what lies in it beside the modules, and nothing else."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from pipelines import main
from tests import installs
from tests.conftest import ROOT

HEAVY = {"pandas", "pyarrow", "pillow", "apache-beam", "tensorflow-transform"}


@pytest.fixture(scope="module")
def bare(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An environment that has the wheel alone."""
    folder = tmp_path_factory.mktemp("bare") / "env"
    installs.environment(folder)
    installs.install(wheel, folder)
    return folder


@pytest.fixture(scope="module")
def site(bare: pathlib.Path) -> pathlib.Path:
    (found,) = bare.glob("lib/*/site-packages")
    return found


def test_every_room_is_installed(site: pathlib.Path):
    assert installs.files(site) == installs.files(ROOT)
    beside = {"plan/rates.csv", "report/templates/", "shard/templates/", "submit/startup.sh"}
    assert all(any(part in name for name in installs.files(site)) for part in beside)


def test_nothing_else_is_installed(site: pathlib.Path):
    # uv's environments have a _virtualenv of their own.
    found = {path.name for path in site.iterdir() if not path.name.startswith("_virtualenv")}
    assert {name.partition("-")[0] for name in found} == {*installs.PACKAGES, "gld2"}


def gld2(bare: pathlib.Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([bare / "bin" / "gld2", *words], cwd=bare, capture_output=True, text=True)


def test_the_command_is_installed_and_needs_nothing_to_list_the_others(bare: pathlib.Path):
    done = gld2(bare, "--help")
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in main.COMMANDS)


@pytest.mark.parametrize("extra", ["trainer", "tpu"])
def test_the_trainer_s_extras_name_nothing_of_the_pipelines(wheel: pathlib.Path, extra: str):
    named = {requirement.name for requirement in installs.requirements(wheel, extra)}
    assert {"numpy", "keras"} <= named
    assert not named & HEAVY
