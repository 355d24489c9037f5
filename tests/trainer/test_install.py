"""The trainer trains where it is installed with `pipelines.common` and its own extra alone."""

from __future__ import annotations

import ast
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from pipelines.common.labels import parse_labels
from tests import installs
from tests.trainer.conftest import photo

ABSENT = ("pandas", "pyarrow", "apache_beam", "tensorflow_transform", "pipelines.storage")
# Pillow is there, as Matplotlib needs it.
IMPORTED = {"numpy", "tensorflow", "keras", "h5py", "matplotlib", "jax"}
TINY = ("--weights=none", "--backbone=mobilenet", "--alpha=0.25", "--image_size=32")
STEPS = ("--batch_size=4", "--epochs=1", "--checkpoint_every=1")


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
def test_it_trains_resumes_and_exports(lean, version_folder, tmp_path):
    job = tmp_path / "job"
    words = ["-m", "trainer.task", f"--data={version_folder}", f"--job_dir={job}", *TINY, *STEPS]
    killed = start(lean, *words)
    while not list(job.glob("checkpoints/epoch-*.npz")) and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    _, err = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, err

    resumed = start(lean, *words)
    out, err = resumed.communicate()
    assert resumed.returncode == 0, err
    assert "continuing after epoch" in out
    export = job / "export"
    assert sorted(path.name for path in export.iterdir()) == [
        *("README.md", "config.json", "labels.csv", "model.keras", "saved_model", "stats.json")
    ]
    assert (job / "curves.png").read_bytes().startswith(b"\x89PNG")
    serve = tf.saved_model.load(str(export / "saved_model")).signatures["serving_default"]
    scores = serve(image=tf.constant([photo(500, 1).encoded]))["scores"].numpy()
    assert scores.shape == (1, len(parse_labels((export / "labels.csv").read_text())))
    np.testing.assert_allclose(scores.sum(), 1, atol=1e-5)
