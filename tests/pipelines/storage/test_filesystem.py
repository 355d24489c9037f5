"""Listings of folders, on a disk and in an object store."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pathlib

import pytest

from pipelines.common.errors import UserError
from pipelines.storage import filesystem


@pytest.fixture(params=["disk", "gs"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    if request.param == "disk":
        return f"{tmp_path}/some/folder"
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}/folder"


def test_a_folder_that_does_not_exist_has_no_files(folder: str):
    assert filesystem.listing(folder) == {}


def test_a_listing_has_names_sizes_and_times(folder: str):
    filesystem.write(f"{folder}/one.done.json", "{}\n")
    filesystem.write(f"{folder}/two", b"12345")
    filesystem.write(f"{folder}/below/three", "")
    filesystem.write(f"{folder}.beside/four", "")
    found = filesystem.listing(folder)
    assert {name: entry.size for name, entry in found.items()} == {"one.done.json": 3, "two": 5}
    assert filesystem.listing(f"{folder}/") == found
    filesystem.write(f"{folder}/two", b"54321")
    after = filesystem.listing(folder)
    assert after["two"].changed > found["two"].changed
    assert after["one.done.json"] == found["one.done.json"]


def test_a_file_in_work_has_the_size_that_is_written(tmp_path: pathlib.Path):
    with filesystem.atomic(f"{tmp_path}/file") as file:
        file.write(bytes(100_000))
        ((name, entry),) = filesystem.listing(str(tmp_path)).items()
        assert name.endswith(".tmp")
        assert entry.size == 100_000
    assert filesystem.listing(str(tmp_path))["file"].size == 100_000


def test_a_file_that_goes_while_it_is_listed_is_passed_over(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).write_text(name)
    scandir = os.scandir

    def late(path):
        found = list(scandir(path))
        (tmp_path / "b").unlink()
        return contextlib.nullcontext(found)

    monkeypatch.setattr(os, "scandir", late)
    assert sorted(filesystem.listing(str(tmp_path))) == ["a", "c"]


def test_a_listing_of_a_folder_whose_name_looks_like_a_pattern(tmp_path: pathlib.Path):
    for name in ("[ab]", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in {name}").write_text("")
    assert list(filesystem.listing(f"{tmp_path}/[ab]")) == ["in [ab]"]


@pytest.mark.parametrize("code", [errno.EIO, errno.EFBIG, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_in_the_middle_is_named_and_nothing_is_left(tmp_path, code):
    class Failing(io.BytesIO):
        def write(self, data):
            raise OSError(code, os.strerror(code))

    def create(path, mode):
        pathlib.Path(path).touch()
        return Failing()

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(UserError, match=rf"^{tmp_path}/file: .*{os.strerror(code)}"),
    ):
        patch.setattr("builtins.open", create)
        filesystem.write(f"{tmp_path}/file", b"1")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_renamed_is_named(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").touch()
    with pytest.raises(UserError, match=r"/new: cannot be written \(Directory not empty\)"):
        filesystem.rename_folder(f"{tmp_path}/old", f"{tmp_path}/new", "file")


def test_a_file_has_its_name_once_its_bytes_are_on_the_disk(tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []

    def sync(number: int) -> None:
        synced.append((os.fstat(number).st_ino, os.fstat(number).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    filesystem.write(str(path), b"123")
    assert synced == [(path.stat().st_ino, 3, False)]


def test_what_a_killed_run_left_is_removed_beside_its_file_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("s.rejects.jsonl.0123.tmp", "s2.csv.0123.tmp", "s.csv"):
        (tmp_path / name).touch()
    filesystem.remove_temporaries_of("s.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s2.csv.0123.tmp"]
