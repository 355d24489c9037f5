"""Names with `[`, `]`, `*` and `?` are names, and no patterns."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from pipelines.main import run
from pipelines.storage import filesystem
from tests.conftest import digests
from tests.pipelines.conftest import FLAGS

ODD = "a [2020] *?"
MADE = ("dataset/**/*.tfrecord-*", "dataset/**/*.csv", "decisions/*.parquet", "facts/*")


def test_the_whole_way_through_odd_names(world, prepared, keras_export, tmp_path, capsys):
    source, output = tmp_path / f"source {ODD}", tmp_path / f"out {ODD}"
    shutil.copytree(world, source)
    shutil.copytree(keras_export, model := tmp_path / f"model {ODD}")
    submission = tmp_path / f"submission {ODD}.csv"
    where = [f"--source={source}", f"--output={output}"]
    assert run("prepare", [*where, *FLAGS]) == 0
    made, expected = digests(output, *MADE), digests(prepared, *MADE)
    assert made == expected
    assert run("inspect", [f"{output}/dataset", "--verify"]) == 0
    assert run("report", [f"--output={output}"]) == 0
    for photos in (f"--source={source}", f"--images={output}/dataset", f"--images={output}"):
        flags = [photos, f"--ids={source}/metadata/test.csv", f"--model={model}"]
        assert run("score", [*flags, f"--output={submission}"]) == 0
        assert submission.exists()
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture(params=["disk", "gs"])
def root(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    if request.param == "disk":
        return str(tmp_path)
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def test_files_and_folders_of_such_names_are_these_alone(root: str):
    files = [f"{root}/x[1]/f[1].tmp", f"{root}/x[1]/in/f1.tmp", f"{root}/x1/f1.tmp", f"{root}/x*/f"]
    for path in files:
        filesystem.write(path, b"1")
    assert filesystem.match(f"{root}/x[1]/f*.tmp") == files[:1]
    assert filesystem.walk(f"{root}/x[1]") == files[:2]
    assert filesystem.folders(root) == [f"{root}/x*", f"{root}/x1", f"{root}/x[1]"]
    assert filesystem.has_files(f"{root}/x[1]")
    assert not filesystem.has_files(f"{root}/x[12]")
    assert filesystem.size(files[0]) == 1
    filesystem.remove_temporaries_of(f"{root}/x[1]/f[1]")
    assert [filesystem.exists(path) for path in files] == [False, True, True, True]
    filesystem.remove(f"{root}/x*")
    assert [filesystem.exists(path) for path in files] == [False, True, True, False]
    filesystem.remove(f"{root}/x[1]")
    assert [filesystem.exists(path) for path in files] == [False, False, True, False]
