"""The trainer trains where it is installed with `pipelines.common` and its own extra alone."""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys

import pytest

from tests import installs
from tests.trainer.conftest import flags

ABSENT = ("pandas", "pyarrow", "apache_beam", "tensorflow_transform", "pipelines.storage")
# Pillow is there, as Matplotlib needs it.
IMPORTED = {"numpy", "tensorflow", "keras", "h5py", "matplotlib", "jax"}


@pytest.fixture(scope="module")
def lean(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An environment with the trainer's own extra, and with it two parts of the wheel."""
    folder = tmp_path_factory.mktemp("lean") / "env"
    site = installs.environment(folder)
    installs.link(installs.requirements(wheel, "trainer"), site)
    installs.unpack(wheel, site, "trainer/", "pipelines/__init__.py", "pipelines/common/")
    return folder


def start(lean: pathlib.Path, *words: str) -> subprocess.Popen:
    """Starts Python there, with nothing of this repository in reach."""
    return subprocess.Popen(
        [lean / "bin" / "python", *words],
        cwd=lean,
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_nothing_more_is_there(lean: pathlib.Path):
    script = (
        "import importlib.util, sys, trainer.task\n"
        "print(trainer.__file__, *[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    )
    out, err = start(lean, "-c", script, *ABSENT).communicate()
    assert out, err
    (place,) = out.split()
    assert pathlib.Path(place).is_relative_to(lean)


def imports(path: pathlib.Path) -> set[str]:
    """The first part of the name of every module that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def test_nothing_more_is_imported(lean: pathlib.Path):
    """Also where it would be found, as Pillow is; `submit` has an extra of its own."""
    (site,) = lean.glob("lib/*/site-packages")
    known = sys.stdlib_module_names | IMPORTED | set(installs.PACKAGES)
    folders = (site / "trainer", site / "pipelines")
    modules = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(modules) > 40
    found = {path: imports(path) - known for path in modules if "submit" not in path.parts}
    assert not {path: more for path, more in found.items() if more}


@pytest.mark.slow
def test_it_trains_and_exports(lean, config, tmp_path):
    job = tmp_path / "job"
    process = start(lean, "-m", "trainer.task", *flags(config, job_dir=job))
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert sorted(path.name for path in (job / "export").iterdir()) == [
        *("README.md", "config.json", "labels.csv", "model.keras", "saved_model", "stats.json")
    ]
    assert (job / "curves.png").read_bytes().startswith(b"\x89PNG")
