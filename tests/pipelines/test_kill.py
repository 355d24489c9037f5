"""Commands that are killed again and again: the same command goes on, and makes the same bytes."""

from __future__ import annotations

import itertools
import pathlib
import signal

import pytest

from tests.engines.conftest import results
from tests.pipelines.conftest import FLAGS
from tests.preloaded import Command
from tests.storm.disk import Disk, Kind

pytestmark = pytest.mark.slow

COMMANDS = {
    "prepare": " ".join(["prepare --source={url} --output={made}/out", *FLAGS]),
    "score": "score --source={url} --model={model} --output={made}/s.csv",
    "re-rank": "score --images={prepared}/dataset --model={model} --output={made}/s.csv "
    "--rerank=retrieval --train={prepared}/dataset",
}
MOMENTS = 8  # in which a run that is not killed is divided


class Attempt:
    """A run of a command that may be killed at one of its operations on files below a folder.

    Attributes:
      code: its exit code.
      operations: their number.
      sums: the lines that say what went in and came out.
    """

    def __init__(self, words: str, made: pathlib.Path, kind: Kind, at: int = 0):
        made.mkdir(exist_ok=True)
        log = made.with_name("operations")
        log.write_bytes(b"")
        disk = Disk(str(made), str(log), kind, at, lasts=1, order=0)
        command = Command(words.format(made=made).split(), made.parent, first=disk.install)
        self.code = command.wait()
        self.operations = log.stat().st_size
        self.sums = [line for line in command.stdout.splitlines() if " images in " in line]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_killed_and_run_again_goes_on_to_the_same_bytes(
    url, prepared, keras_export, tmp_path, name: str
):
    words = COMMANDS[name].format(url=url, prepared=prepared, model=keras_export, made="{made}")
    calm = Attempt(words, tmp_path / "calm", Kind.NOTHING)
    assert calm.code == 0
    kinds = itertools.cycle((Kind.KILL, Kind.KILL_HALF, Kind.KILL_AFTER))
    step = calm.operations // MOMENTS
    for killed, kind in enumerate(kinds):
        attempt = Attempt(words, tmp_path / "killed", kind, at=step + step * killed // 3)
        if attempt.code == 0:
            break
        assert attempt.code == -signal.SIGKILL
    assert killed >= 3
    assert attempt.operations < calm.operations, "it began again"
    assert attempt.sums == calm.sums
    assert results(tmp_path / "killed") == results(tmp_path / "calm")
