"""Progress bars: what a terminal shows while a stage runs, from looks at what it writes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from pipelines.curate import command as curate_command
from pipelines.download import command as download_command
from pipelines.runner import progress
from pipelines.sample import http_server, writer
from pipelines.score import command as score_command
from pipelines.shard import command as shard_command
from tests.conftest import ROOT
from tests.pipelines.conftest import FLAGS, TINY
from tests.pipelines.exports import VERSION, make_export
from tests.pipelines.terminal import Screen, stderr_on_a_terminal

UNITS = 5  # tars of the world that are prepared


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "ON_DISK", 0.02)


class Work:
    """Something that is looked at, and how often it was."""

    def __init__(self, **counts: float):
        self.counts = counts
        self.looks = 0
        self.fails = False

    def __call__(self) -> progress.Counts:
        self.looks += 1
        if self.fails:
            raise FileNotFoundError("it went away while it was listed")
        return dict(self.counts)

    def wait(self, looks: int = 3) -> None:
        """Until it was looked at so many times more."""
        wanted, late = self.looks + looks, time.monotonic() + 10
        while self.looks < wanted and time.monotonic() < late:
            time.sleep(0.005)


# ---- the bar --------------------------------------------------------------------------------


def test_without_a_terminal_nobody_looks(capsys: pytest.CaptureFixture):
    work = Work(units=1)
    with progress.bar("work", work, "units", 3, "out"):
        pass
    assert work.looks == 0
    assert capsys.readouterr() == ("", "")


def test_what_was_there_before_is_done_but_not_in_the_rate(often):
    work = Work(units=900, MB=5000)
    with stderr_on_a_terminal() as screen, progress.bar("work", work, "units", 1000, "out"):
        work.wait()
        work.counts = {"units": 901, "MB": 5001}
        time.sleep(1.1)
        work.wait()
    frames = screen.frames("work")
    assert (frames[0].done, frames[0].total, frames[0].left) == (900, 1000, "?")
    assert frames[-1].done == 901
    assert frames[-1].megabytes == 5001
    assert frames[-1].speed < 1
    # One unit in a bit more than a second, 99 to go.
    seconds = float(frames[-1].rate) if frames[-1].per.startswith("s/") else 1.0
    assert 1 <= seconds < 10
    assert frames[-1].left >= "01:39"


@pytest.mark.parametrize("error", [None, KeyError()])
def test_the_last_look_is_after_the_end(monkeypatch: pytest.MonkeyPatch, error: Exception | None):
    monkeypatch.setattr(progress, "ON_DISK", 1000.0)
    work = Work(units=0)
    bar = progress.bar("work", work, "units", 3, "out")
    raised = pytest.raises(KeyError) if error else contextlib.nullcontext()
    with raised, stderr_on_a_terminal() as screen, bar:
        work.counts = {"units": 2}
        if error:
            raise error
    assert screen.frames("work")[-1].done == 2
    assert work.looks == 2


def test_an_object_store_is_looked_at_less_often(often):
    assert progress.ON_OBJECT_STORE >= 10
    work = Work(units=0)
    with stderr_on_a_terminal(), progress.bar("work", work, "units", 3, "gs://bucket/out"):
        time.sleep(0.3)
        assert work.looks == 1
    assert work.looks == 2


def test_looks_that_fail_are_passed_over(often):
    work = Work(units=1)
    with stderr_on_a_terminal() as screen, progress.bar("work", work, "units", 3, "out"):
        work.fails = True
        work.wait()
        work.fails, work.counts = False, {"units": 2}
        work.wait()
        work.fails = True
    assert {frame.done for frame in screen.frames("work")} == {1, 2}
    assert screen.frames("work")[-1].done == 2


def test_where_the_first_look_fails_the_next_says_what_was_there(often):
    work = Work(units=900)
    work.fails = True
    with stderr_on_a_terminal() as screen, progress.bar("work", work, "units", 1000, "out"):
        work.wait()
        work.fails = False
        work.wait()
    assert screen.frames("work")[-1].done == 900
    assert not any(frame.is_rated and float(frame.rate) for frame in screen.frames("work"))


def test_it_goes_neither_back_nor_past_the_total(often):
    work = Work(B=4e6)
    with stderr_on_a_terminal() as screen, progress.bar("work", work, "B", 8_000_000, "out"):
        for count in (6e6, 5e6, 8.01e6):
            work.counts = {"B": count}
            work.wait()
    done = [frame.done for frame in screen.frames("work")]
    assert done == sorted(done)
    assert {*done} == {4, 6, 8}
    assert {(f.prefix, f.total) for f in screen.frames("work")} == {("M", 8)}


def test_without_a_total_the_count_and_the_rate_are_shown(often):
    work = Work(units=2, MB=1)
    with stderr_on_a_terminal() as screen, progress.bar("work", work, "units", None, "out"):
        work.counts = {"units": 3, "MB": 2}
        work.wait()
    assert "work: 2 units [" in screen.text
    assert "work: 3 units [" in screen.text
    assert "MB=2.0" in screen.text


# ---- real stages ----------------------------------------------------------------------------


class Slow(http_server.Handler):
    """A server that takes a while."""

    def send_body(self, file, start, stop):
        for begin in range(start, stop, http_server.CHUNK):
            super().send_body(file, begin, min(begin + http_server.CHUNK, stop))
            time.sleep(0.2)


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """All that gld2 prepare shows on a terminal, in a process of its own, of some megabytes."""
    world, output = (tmp_path_factory.mktemp("shown") / name for name in ("world", "out"))
    writer.write_world(world, dataclasses.replace(TINY, sides=(200, 260)))
    screen = Screen()
    with http_server.serve(world, handler=Slow) as address:
        words = ["prepare", f"--source={address}", f"--output={output}", FLAGS[1]]
        command = [sys.executable, "-m", "pipelines.main", *words]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=screen.slave)
    screen.close()
    assert done.returncode == 0, screen.text
    assert {path.name for path in output.iterdir()} == {
        *("staged", "facts", "rejects", "decisions", "transform_fn", "dataset", "pairs")
    }
    return screen


@pytest.mark.parametrize("title", ["download", "look-alikes", "curate", "shard"])
def test_a_stage_shows_a_total_a_rate_and_the_time_left(screen: Screen, title: str):
    frames = screen.frames(title)
    assert frames[0].done == 0
    assert frames[-1].done == frames[-1].total == frames[0].total > 0
    assert frames[-1].is_rated
    assert frames[-1].left == "00:00"
    assert float(frames[-1].rate) > 0


def test_the_bar_moves_while_units_are_in_work(screen: Screen):
    frames = screen.frames("download")
    assert frames[0].total == UNITS
    assert frames[-1].megabytes > 0
    within = [frame for frame in frames if 0 < frame.done < UNITS]
    assert any(frame.is_rated and frame.speed for frame in within)
    assert any(frame.left > "00:00" for frame in within if frame.is_rated)
    # While as many units were done, more was written.
    written: dict[float, set[float]] = {}
    for frame in frames:
        written.setdefault(frame.done, set()).add(frame.megabytes or 0.0)
    assert any(len(some) > 1 for some in written.values())


# ---- runs that go on ------------------------------------------------------------------------


@pytest.fixture
def output(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(prepared, tmp_path / "out")


def download(url: str, output: pathlib.Path | str, *words: str) -> Screen:
    flags = [f"--source={url}", f"--output={output}", FLAGS[0], *words]
    with stderr_on_a_terminal() as screen:
        assert download_command.main(flags) == 0
    return screen


def ends(screen: Screen, title: str) -> tuple[float, float, float]:
    """What was done at first and at last, and the total."""
    frames = screen.frames(title)
    assert {frame.total for frame in frames} == {frames[0].total}
    return frames[0].done, frames[-1].done, frames[0].total


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (UNITS - 1, UNITS, UNITS)),
        (["--split=test"], (1, 2, 2)),  # the units of train are there, but not of this run
        (["--split=train"], (3, 3, 3)),
    ],
)
def test_a_download_that_goes_on_starts_where_it_stands(url, output, often, words, expected):
    (output / "staged" / "test-images_001.done.json").unlink()
    (output / "staged" / "test-images_001.tfrecord").rename(
        output / "staged" / "test-images_001.tfrecord.01234567.tmp"
    )
    assert ends(download(url, output, *words), "download") == expected


def test_a_unit_whose_photos_are_tried_again_is_in_work(url, output, often):
    path = output / "staged" / "test-images_001.done.json"
    done = json.loads(path.read_text())
    path.write_text(json.dumps(done | {"rejected": {"unreachable": 1}}))
    assert ends(download(url, output), "download") == (UNITS, UNITS, UNITS)
    again = download(url, output, "--retry_rejected")
    assert ends(again, "download") == (UNITS - 1, UNITS, UNITS)


def test_a_download_to_an_object_store(url, bucket, monkeypatch):
    monkeypatch.setattr(progress, "ON_OBJECT_STORE", 0.1)
    words = (url, f"{bucket}/shown", "--split=test")
    assert ends(download(*words), "download") == (0, 2, 2)
    assert ends(download(*words), "download") == (2, 2, 2)


def test_a_unit_that_fails_is_not_done(world, output, tmp_path, often):
    broken = shutil.copytree(world, tmp_path / "broken")
    (broken / "test" / "images_001.tar").write_bytes(b"no tar")
    (output / "staged" / "test-images_001.done.json").unlink()
    screen = download(str(broken), output, "--attempts=1", "--allow_incomplete")
    assert ends(screen, "download") == (UNITS - 1, UNITS - 1, UNITS)


def test_a_search_that_ended_is_done_and_decisions_are_made_anew(url, output, often):
    (output / "pairs" / "dhash.done.json").unlink()
    (output / "decisions" / "done.json").unlink()
    with stderr_on_a_terminal() as screen:
        assert curate_command.main([f"--source={url}", f"--output={output}"]) == 0
    assert ends(screen, "look-alikes") == (1, 2, 2)
    assert ends(screen, "curate") == (0, 1, 1)


def test_shards_that_are_there_are_done(prepared, output, often):
    version, stats = output / VERSION, json.loads((output / VERSION / "stats.json").read_text())
    incomplete = version.with_name(f"{version.name}.incomplete")
    version.rename(incomplete)
    (incomplete / "stats.json").unlink()
    (incomplete / "inputs.json").write_text(json.dumps(stats["inputs"]))
    next(incomplete.glob("gld2-train*")).unlink()
    left = sum(path.stat().st_size for path in incomplete.glob("gld2-*"))
    with stderr_on_a_terminal() as screen:
        assert shard_command.main([f"--output={output}", FLAGS[1]]) == 0
    first, last, total = ends(screen, "shard")
    assert screen.frames("shard")[0].prefix == "k"
    assert first == pytest.approx(left / 1e3, rel=0.01)
    assert (
        last
        == total
        == pytest.approx(sum(s["bytes"] for s in stats["splits"].values()) / 1e3, rel=0.1)
    )


def test_scoring_counts_units_and_those_of_which_there_is_evidence(
    prepared, output, tmp_path, often
):
    export = make_export(prepared, tmp_path / "export")
    path = tmp_path / "s.csv"

    def shown(*titles: str) -> list[tuple[float, float, float]]:
        words = [f"--images={output}", f"--model={export}", f"--output={path}"]
        with stderr_on_a_terminal() as screen:
            rerank = ["--rerank=retrieval", f"--train={output}/dataset"]
            assert score_command.main([*words, *rerank]) == 0
        return [ends(screen, title) for title in titles]

    shards = len(list((output / VERSION).glob("gld2-train*")))
    expected = [(0, 2, 2), (0, shards, shards), (0, 2, 2)]
    assert shown("score", "train", "rerank") == expected
    parts = path.with_suffix(".parts")
    (parts / "test-images_000.done.json").unlink()
    next(path.with_suffix(".neighbours").glob("*_001.evidence.parquet")).unlink()
    assert shown("score", "rerank") == [(1, 2, 2), (1, 2, 2)]
    # Photos that are others now are scored again, though what was made of them is there.
    staged = output / "staged" / "test-images_000.tfrecord"
    os.utime(staged, (0, 0))
    assert shown("score", "rerank") == [(1, 2, 2), (0, 2, 2)]
