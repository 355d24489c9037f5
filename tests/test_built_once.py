"""A folder that several test processes share is built by one of them, and stays as it was built."""

from __future__ import annotations

import pathlib
import time

import pytest

from tests.conftest import built_once


class Worker:
    """A process of pytest-xdist, as far as its temporary folder."""

    def __init__(self, run: pathlib.Path, name: str):
        self.folder = run / name
        self.folder.mkdir()

    def getbasetemp(self) -> pathlib.Path:
        return self.folder


@pytest.fixture
def workers(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    return [Worker(tmp_path, name) for name in ("gw0", "gw1")]


def build(folder: pathlib.Path) -> None:
    (folder / "file").write_text("built")


def test_the_second_worker_has_what_the_first_one_built(workers: list[Worker]):
    builds = []

    def counted(folder: pathlib.Path) -> None:
        builds.append(folder)
        build(folder)

    for worker in workers:
        with built_once(worker, "shared", counted) as folder:
            assert (folder / "file").read_text() == "built"
    assert builds == [folder]


def test_a_build_that_failed_is_begun_anew(workers: list[Worker]):
    def fail(folder: pathlib.Path) -> None:
        (folder / "part").touch()
        raise OSError("full")

    with pytest.raises(OSError, match="full"), built_once(workers[0], "shared", fail):
        pass
    with built_once(workers[1], "shared", build) as folder:
        assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: (folder / "other").touch(),
        lambda folder: (folder / "file").write_text("built"),
        lambda folder: (folder / "file").unlink(),
        lambda folder: [(folder / "passing").touch(), (folder / "passing").unlink()],
    ],
)
def test_a_test_that_writes_into_it_is_found_out(workers: list[Worker], write):
    with (
        pytest.raises(AssertionError, match="a test wrote into"),
        built_once(workers[0], "shared", build) as folder,
    ):
        time.sleep(0.02)  # a file system's clock has steps
        write(folder)
