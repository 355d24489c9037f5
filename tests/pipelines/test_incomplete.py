"""A source that cannot be staged whole: nothing is published of it unless that is asked for."""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil

import pytest

from pipelines.main import run
from tests.conftest import digests
from tests.pipelines.conftest import FLAGS

UNIT = "train-images_001"
STATS = "dataset/gld2/1.0.0/stats.json"
MADE = ("dataset/**/*", "decisions/*", "facts/*", "staged/*.tfrecord", "rejects/*")


@pytest.fixture
def source(world: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The world with a tar that does not fit its md5."""
    source = tmp_path / "source"
    shutil.copytree(world, source)
    with (source / "train" / "images_001.tar").open("ab") as tar:
        tar.write(b"x")
    return source


def mend(world: pathlib.Path, source: pathlib.Path) -> None:
    shutil.copy(world / "train" / "images_001.tar", source / "train" / "images_001.tar")


def prepare(source: pathlib.Path, output: pathlib.Path, *flags: str) -> int:
    return run("prepare", [f"--source={source}", f"--output={output}", *FLAGS, *flags])


@pytest.fixture
def calm(world, source, tmp_path) -> dict[str, str]:
    """What is made of the source once it is mended."""
    shutil.copytree(source, tmp_path / "kept")
    mend(world, source)
    assert prepare(source, tmp_path / "calm") == 0
    shutil.rmtree(source)
    (tmp_path / "kept").rename(source)
    return digests(tmp_path / "calm", *MADE)


def test_nothing_is_published_and_the_same_command_goes_on_once_it_is_mended(
    world, source, calm, tmp_path, capsys
):
    output = tmp_path / "out"
    assert prepare(source, output) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"units that are not staged: 1, {UNIT} first; see {output}/rejects/{UNIT}.jsonl" in last
    assert "--allow_incomplete" in last
    assert not (output / "decisions").exists()
    for command in ("curate", "shard"):
        source_flag = [f"--source={source}"] if command == "curate" else []
        assert run(command, [*source_flag, f"--output={output}"]) == 2
    mend(world, source)
    assert prepare(source, output) == 0
    assert digests(output, *MADE) == calm


def test_what_is_allowed_to_be_incomplete_says_so_and_is_completed(
    world, source, calm, tmp_path, capsys
):
    output = tmp_path / "out"
    assert prepare(source, output, "--allow_incomplete") == 0
    assert json.loads((output / STATS).read_text())["missing"] == [UNIT]
    card = (output / STATS).with_name("README.md").read_text()
    assert f"could not be staged and are missing here:\n{UNIT}." in card
    assert run("shard", [f"--output={output}", "--shard_size_mb=1", "--version=1.1.0"]) == 2
    assert f"1 units are missing, {UNIT} first" in capsys.readouterr().err

    mend(world, source)
    assert prepare(source, output, "--allow_incomplete") == 0
    assert digests(output, *MADE) == calm


def test_a_published_md5_that_is_outdated_can_be_passed_over(source, tmp_path, capsys):
    output = tmp_path / "out"
    download = [f"--source={source}", f"--output={output}", FLAGS[0]]
    found = hashlib.md5((source / "train" / "images_001.tar").read_bytes()).hexdigest()
    assert run("download", download) == 2
    (line,) = (output / "rejects" / f"{UNIT}.jsonl").read_text().splitlines()
    detail = json.loads(line)["detail"]
    assert f"--accept_md5 {UNIT}={found} (attempt 2 of 3)" in detail  # the same twice is enough

    assert run("download", [*download, f"--accept_md5={UNIT}={'0' * 32}"]) == 2
    capsys.readouterr()
    assert run("download", [*download, f"--accept_md5={UNIT}={found}"]) == 0
    assert f"another md5 is published of {UNIT}" in capsys.readouterr().out
    done = json.loads((output / "staged" / f"{UNIT}.done.json").read_text())
    published = (source / "md5sum" / "train" / "md5.images_001.txt").read_text().split()[0]
    assert (done["md5"], done["published_md5"]) == (found, published)


@pytest.mark.parametrize("item", ["", "train-images_000", "train-images_000=1", f"x={'g' * 32}"])
def test_a_malformed_acceptance_is_refused(item: str, tmp_path, capsys):
    flags = [f"--source={tmp_path}", f"--output={tmp_path}/out", f"--accept_md5={item}"]
    assert run("download", flags) == 2
    assert "expected UNIT=MD5" in capsys.readouterr().err
