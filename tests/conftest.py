"""What several tests share: real photos where they are, commands run as a user runs them, folders
built once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from filelock import FileLock

from tests import installs, preloaded

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
MINI = SHARED / "gld2-mini"
WEIGHTS = SHARED / "weights"

hypothesis.settings.register_profile("gld2", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("gld2")

needs_shared = pytest.mark.skipif(
    not MINI.is_dir(), reason="needs the real photos of ../shared, which are not there"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that none of them is alone at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def gld2(*argv: object, check: bool = True, **flags: object) -> subprocess.CompletedProcess:
    """Runs the gld2 command in a process of its own."""
    words = [*map(str, argv), *(f"--{name}={value}" for name, value in flags.items())]
    with tempfile.TemporaryDirectory() as folder:
        command = preloaded.Command(words, pathlib.Path(folder))
        code = command.wait()
        assert code is not None
        done = subprocess.CompletedProcess(words, code, command.stdout, command.stderr)
    if check and done.returncode:
        raise AssertionError(f"gld2 {' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done


def digests(folder: pathlib.Path, *patterns: str) -> dict[str, str]:
    """sha256 of each file below a folder that fits one of the patterns."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns or ("**/*",)
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }


@contextlib.contextmanager
def built_once(
    factory: pytest.TempPathFactory, name: str, build: Callable[[pathlib.Path], object]
) -> Iterator[pathlib.Path]:
    """Builds a folder in the first of pytest-xdist's processes that asks for it; all read that one.

    Args:
      factory: pytest's.
      name: of the folder; the same name is the same folder.
      build: fills an empty folder.

    Yields:
      The folder. A test that would write into it copies it.

    Raises:
      AssertionError: at the end, if something was written into it.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which all workers have in common
    folder = base / "built_once" / name
    seal = folder.with_name(f"{name}.json")
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_name(f"{name}.lock")):
        if not seal.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a build that failed
            folder.mkdir()
            build(folder)
            seal.write_text(json.dumps(_stamps(folder)))
    yield folder
    assert _stamps(folder) == json.loads(seal.read_text()), f"a test wrote into {folder}"


def _stamps(folder: pathlib.Path) -> dict[str, int]:
    """When each file was last written, and in each folder one was last made or removed."""
    found = [folder, *sorted(folder.rglob("*"))]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """This tree's wheel."""

    def build(folder: pathlib.Path) -> None:
        installs.build_wheel(installs.copy_tree(ROOT, folder / "tree"), folder)

    with built_once(tmp_path_factory, "wheel", build) as folder:
        (found,) = folder.glob("*.whl")
        yield found
