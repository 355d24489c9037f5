"""The images, as far as they can be had without a container runtime: linted, and what their RUN
lines do done in clean virtual environments.

The lines say pip, and uv answers: it understands their flags, and takes seconds for pip's minutes.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tests.installs import UV

DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
UNPINNED = {"gld2", "setuptools", "wheel"}  # ours, and what installs


@dataclasses.dataclass(frozen=True)
class Step:
    """An instruction of a Dockerfile, such as RUN, and all that follows it."""

    kind: str
    rest: str


def steps(path: pathlib.Path) -> Iterator[Step]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            yield Step(*line.split(maxsplit=1))


def stage(path: pathlib.Path, base: str) -> list[Step]:
    """The steps between FROM of a base, and the next FROM."""
    found: list[Step] = []
    inside = False
    for step in steps(path):
        if step.kind == "FROM":
            inside = step.rest.startswith(base)
        elif inside:
            found.append(step)
    return found


def replay(found: list[Step], folder: pathlib.Path, **args: str) -> tuple[pathlib.Path, str]:
    """Does what the steps say in a folder that stands for the image's; its Python is a new venv.

    Args:
      found: a stage; what it copies from other stages is left out.
      folder: empty.
      args: build arguments.

    Returns:
      the virtual environment, and what its commands said.
    """
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    pip = folder / "venv" / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec {UV} pip "$@"\n')
    pip.chmod(0o755)
    work = folder / "work"
    work.mkdir()
    env = os.environ | {"PATH": f"{pip.parent}:{os.environ['PATH']}"} | args
    env |= {"VIRTUAL_ENV": str(folder / "venv")}
    env.pop("PYTHONPATH", None)
    said = ""
    for step in found:
        words = shlex.split(step.rest)
        if step.kind == "COPY" and not words[0].startswith("--from"):
            _copy(words[:-1], work, words[-1])
        elif step.kind == "RUN":
            done = subprocess.run(
                step.rest, shell=True, cwd=work, env=env, capture_output=True, text=True
            )
            said += f"{step.rest}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == 0, said
    return folder / "venv", said


def _copy(sources: list[str], work: pathlib.Path, target: str) -> None:
    for source in sources:
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, work / target, ignore=ignore, dirs_exist_ok=True)
        else:
            (work / target).mkdir(exist_ok=True)
            shutil.copy(ROOT / source, work / target)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = (re.match(r"([\w.-]+)==(\S+)", line) for line in lines)
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def unpinned(versions: Mapping[str, str]) -> dict[str, str]:
    """Those of which constraints.txt says another version, or nothing."""
    known = pins()
    return {n: v for n, v in versions.items() if n not in UNPINNED and known.get(n) != v}


def installed(python: pathlib.Path) -> dict[str, str]:
    words = [UV, "pip", "list", "--python", python, "--format=json"]
    listed = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    return {canonicalize_name(package["name"]): package["version"] for package in listed}


def runs(python: pathlib.Path, *words: str) -> subprocess.CompletedProcess:
    """Runs a program of a virtual environment away from this repository."""
    words = (str(python / "bin" / words[0]), *words[1:])
    return subprocess.run(words, cwd=python, capture_output=True, text=True)


# ---- what is written -------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: pathlib.Path):
    hadolint = pathlib.Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_bases_are_pinned(path: pathlib.Path):
    lines = [step.rest.split("=") for step in steps(path) if step.kind == "ARG"]
    args = dict(line for line in lines if len(line) == 2)
    stages = set()
    for step in steps(path):
        if step.kind == "FROM":
            image, *name = step.rest.split(" AS ")
            image = re.sub(r"\$\{(\w+)\}", lambda match: args[match[1]], image)
            assert image in stages or re.search(r":\d", image), image
            stages.update(name)


def test_workers_have_the_beam_that_jobs_are_built_with():
    (version,) = [s.rest for s in steps(FILES[0]) if s.rest.startswith("BEAM=")]
    assert version == f"BEAM={pins()['apache-beam']}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_copied_is_sent_to_the_builder(path: pathlib.Path):
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = [shlex.split(s.rest)[:-1] for s in steps(path) if s.kind == "COPY"]
    sources = [source for words in copied if not words[0].startswith("--from") for source in words]
    assert len(sources) >= 6
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in allowed, source


def test_nothing_else_is_sent_to_the_builder():
    lines = [n for n in (ROOT / ".dockerignore").read_text().splitlines() if not n.startswith("#")]
    assert lines[0] == "*" and "**/__pycache__" in lines
    for name in (".git", ".venv", "tests", "secret.json", "demo"):
        assert not any(fnmatch.fnmatch(name, line[1:]) for line in lines if line.startswith("!"))


# ---- what is installed -----------------------------------------------------------------------


@pytest.mark.slow
def test_pipelines_install_and_import(tmp_path: pathlib.Path):
    python, _ = replay(stage(FILES[0], "apache/beam"), tmp_path)
    found = installed(python)
    assert unpinned(found) == {}
    code = "import pipelines.prepare, pipelines.score.command"
    assert runs(python, "python", "-c", code).returncode == 0
    assert "download" in runs(python, "gld2", "--help").stdout
    launch = str(tmp_path / "work" / "docker" / "launch.py")
    done = subprocess.run(
        [python / "bin" / "python", launch, f"--output={tmp_path}/out"],
        env=os.environ | {"GLD2_COMMAND": "shard"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stderr.startswith("gld2 shard: error: ")
    assert "run gld2 curate first" in done.stderr


@pytest.mark.slow
def test_trainer_for_tpu_installs_and_imports(tmp_path: pathlib.Path):
    python, _ = replay(stage(FILES[1], "python:"), tmp_path, DEVICE="tpu")
    found = installed(python)
    assert unpinned(found) == {}
    assert {"jax", "libtpu", "tensorflow-cpu", "keras"} <= set(found)
    assert not {"apache-beam", "tensorflow-transform"} & set(found)
    done = runs(python, "gld2", "train", "--help")
    assert "--backbone" in done.stdout, done.stderr
    imported = "import jax, tensorboard, trainer.task, trainer.training.loop"
    assert runs(python, "python", "-c", imported).returncode == 0


def test_trainer_for_gpu_resolves(tmp_path: pathlib.Path):
    """Three gigabytes of CUDA that nothing here runs on: what would be installed is worked out."""
    found = stage(FILES[1], "python:")
    first = next(number for number, step in enumerate(found) if step.kind == "RUN")
    assert "pip install" in found[first].rest
    words = found[first].rest.replace("pip install", "pip install --dry-run")
    found[first] = Step("RUN", words)
    _, said = replay(found[: first + 1], tmp_path, DEVICE="gpu")
    versions = {
        canonicalize_name(name): version
        for name, version in re.findall(r"\+ ([\w.-]+)==(\S+)", said)
    }
    assert unpinned(versions) == {}
    assert {"tensorflow", "keras", "nvidia-cudnn-cu12"} <= set(versions)
