"""gld2 download killed twenty times: the same bytes in the end, nothing lost, nothing twice."""

from __future__ import annotations

import functools
import math
import pathlib
import signal
import threading
from typing import ClassVar

import pytest

from pipelines.download.command import main
from pipelines.sample import http_server, writer
from pipelines.sample.config import World
from tests.conftest import digests
from tests.pipelines.download import killed
from tests.preloaded import Command

pytestmark = pytest.mark.slow

WORLD = World(landmarks=12, train_images=140, test_images=40, defects=2, train_archives=8,
              test_archives=3, sides=(96, 128), seed=5)  # fmt: skip
OUTPUT = ("facts/*", "staged/*", "rejects/*")
FLAGS = ["--image_size=64"]

# A unit's files get their names in this order: TFRecord, facts, rejects, done.json. The first
# ten runs are killed at one of these, just before or just after, counted from the run's start.
RENAMES = [(1, "before"), (1, "after"), (2, "before"), (2, "after"), (3, "before"), (3, "after"),
           (4, "before"), (4, "after"), (5, "after"), (7, "before")]  # fmt: skip
# The others are killed when the server has sent so much of tars, in shares of the smallest.
SENT = (0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.99, 1.3, 1.6)


class Killer(http_server.Handler):
    """Sends so many bytes of tars, then kills the run that asks for them."""

    left: ClassVar[float] = math.inf  # bytes
    begun: ClassVar[bool] = False  # a run looks which tars there are before it fetches an md5
    run: ClassVar[Command]
    lock: ClassVar = threading.Lock()

    @classmethod
    def aim(cls, left: float) -> None:
        cls.left, cls.begun = left, False

    def send_body(self, file, start, stop):
        if self.path.startswith("/md5sum/"):
            type(self).begun = True
        if self.begun and self.path.endswith(".tar"):
            with self.lock:
                fatal = stop - start > self.left
                stop = start + int(min(self.left, stop - start))
                type(self).left -= stop - start
            super().send_body(file, start, stop)
            return self.kill() if fatal else None
        return super().send_body(file, start, stop)

    def kill(self) -> None:
        self.run.kill()
        self.close_connection = True


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("tars")
    writer.write_world(root, WORLD)
    return root


def run(url: str, output: pathlib.Path, number: int = 0, moment: str = "") -> tuple[int, str]:
    """The command's exit status, and what it printed."""
    words = ["download", f"--source={url}", f"--output={output}", *FLAGS]
    first = functools.partial(killed.at_rename, number, moment)
    Killer.run = Command(words, output.parent, first=first)
    status = Killer.run.wait()
    assert status is not None
    return status, Killer.run.stdout + Killer.run.stderr


def left_behind(output: pathlib.Path) -> frozenset[str]:
    """The kinds of files that are there of units that are not done."""
    done = {path.name.split(".")[0] for path in output.glob("staged/*.done.json")}
    files = [path for path in output.glob("*/*") if path.name.split(".")[0] not in done]
    return frozenset("tmp" if path.suffix == ".tmp" else path.parent.name for path in files)


def sums(printed: str) -> list[str]:
    """The lines of what went in and came out."""
    return [line for line in printed.splitlines() if " images in " in line]


def test_killed_twenty_times_and_run_again_gives_the_same_bytes(tars, tmp_path, capsys):
    undisturbed, output = tmp_path / "undisturbed", tmp_path / "out"
    smallest = min(path.stat().st_size for path in tars.glob("t*/*.tar"))
    found = []
    with http_server.serve(tars, handler=Killer) as url:
        main([f"--source={url}", f"--output={undisturbed}", *FLAGS])
        expected = sums(capsys.readouterr().out)
        for number, moment in RENAMES:
            status, printed = run(url, output, number, moment)
            assert status == -signal.SIGKILL, printed
            found.append(left_behind(output))
        for share in SENT:
            Killer.aim(share * smallest)
            status, printed = run(url, output)
            assert status == -signal.SIGKILL, printed
            found.append(left_behind(output))
        Killer.aim(math.inf)
        status, printed = run(url, output)
    assert status == 0, printed
    assert sums(printed) == expected
    assert len(expected) == 2
    assert len(found) == 20
    # From a photo on the way to all but done.json, with and without a file half-written.
    whole = [
        frozenset(s) for s in (["staged"], ["staged", "facts"], ["staged", "facts", "rejects"])
    ]
    assert set(found) >= {frozenset(), frozenset(["tmp"]), *whole, *(s | {"tmp"} for s in whole)}
    assert digests(output, *OUTPUT) == digests(undisturbed, *OUTPUT)
    assert sorted(p.relative_to(output) for p in output.rglob("*")) == sorted(
        p.relative_to(undisturbed) for p in undisturbed.rglob("*")
    )
