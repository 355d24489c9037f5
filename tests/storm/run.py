"""One storm, from its start to the comparison with a calm run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterator

import pandas as pd

from pipelines.sample import writer
from pipelines.storage import streams
from tests.conftest import ROOT
from tests.engines.conftest import VERSION, results
from tests.pipelines.conftest import kaggle_layout
from tests.pipelines.download import faults
from tests.pipelines.score.test_command import Colours
from tests.preloaded import Command
from tests.storm.disk import Disk, Kind
from tests.storm.plan import WORLDS, Blow, Storm
from tests.storm.weather import Weather

FLAGS = ("--image_size=32", "--shard_size_mb=1", "--min_images_per_class=2", "--attempts=8")
PATIENCE = 240  # seconds until a command counts as stuck
CALM = Blow(Kind.NOTHING, 0, 0, 10.0, 0.0, ())
ERROR = re.compile(r"gld2 (prepare|score): (error: |stopped; ).+")


class Broken(AssertionError):
    """A promise that a storm found broken."""


@dataclasses.dataclass(frozen=True)
class Calm:
    """What a run that nothing disturbs makes of a world.

    Attributes:
      folder: has the source (`published`, `loose`), a model, and the results.
      operations: number of operations on files, by command.
      seconds: that it takes, by command.
      results: digests of what it leaves.
    """

    folder: pathlib.Path
    operations: dict[str, int]
    seconds: dict[str, float]
    results: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Site:
    """Where a run takes place.

    Attributes:
      folder: of the run.
      source: URL or folder.
      model: that scores.
    """

    folder: pathlib.Path
    source: str
    model: pathlib.Path

    @property
    def made(self) -> pathlib.Path:
        """The folder of all that the commands make."""
        return self.folder / "made"

    def words(self, command: str, engine: tuple[str, ...]) -> list[str]:
        """The command line of prepare or score."""
        if command == "prepare":
            flags = [*FLAGS, f"--output={self.made}/out"]
            if not self.source.startswith("http"):
                flags.remove("--attempts=8")
        else:
            flags = [f"--model={self.model}", f"--output={self.made}/submission.csv"]
        return [command, f"--source={self.source}", *flags, *engine]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a storm in which no attempt broke a promise.

    Attributes:
      lines: a line for each attempt.
      wrong: names of the files that the calm run has not, or has with other bytes, and of those
        that it alone has.
    """

    lines: list[str]
    wrong: list[str]


def run(seed: int, calms: pathlib.Path, folder: pathlib.Path) -> Outcome:
    """Runs the storm of a seed.

    Args:
      seed: of the storm.
      calms: folder of calm runs, which are made where they are missing.
      folder: for this one.

    Raises:
      Broken: a command printed a traceback or got stuck, or its last run failed.
    """
    storm = Storm.of(seed)
    calm = find_calm(storm, calms)
    lines = []
    with _source(storm, calm.folder) as (source, sky):
        site = Site(folder, source, calm.folder / "model")
        site.made.mkdir(parents=True)
        blows = iter(storm.blows)
        for command in ("prepare", "score"):
            done = False
            while not done and (blow := next(blows, None)):
                sky.rate = blow.rate
                code, line = attempt(site, command, blow, calm, storm.seed)
                lines.append(f"{command} {_tell(blow)}: exit code {code} {line}")
                done = code == 0
            sky.rate = 0.0
            code, line = attempt(site, command, CALM, calm, storm.seed)
            lines.append(f"{command} undisturbed: exit code {code} {line}")
            if code:
                raise Broken(f"seed {seed}: {lines}")
    found = results(site.made)
    wrong = {name for name, _ in found.items() ^ calm.results.items()}
    return Outcome(lines, sorted(wrong))


def attempt(site: Site, command: str, blow: Blow, calm: Calm, order: int) -> tuple[int, str]:
    """Runs a command once; returns its exit code and the line with which it ended."""
    disk = Disk(
        str(site.made),
        str(site.folder / "operations"),
        blow.kind,
        int(blow.at * calm.operations.get(command, 1)),
        blow.lasts,
        order,
    )
    pathlib.Path(disk.log).unlink(missing_ok=True)
    shutil.rmtree(disk.unsynced, ignore_errors=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "storm" / "site")])
    env = os.environ | disk.environment() | {"PYTHONPATH": path}
    words = site.words(command, blow.engine)
    started = Command(words, site.folder, env, functools.partial(_set_out, disk))
    code = started.wait(blow.dies * calm.seconds[command] if blow.dies < 1 else PATIENCE)
    stuck = code is None and blow.dies >= 1
    started.kill()  # workers may outlive it
    code = started.wait()
    printed = started.stdout + started.stderr
    if stuck or "Traceback" in printed:
        raise Broken(f"{command} {_tell(blow)}: {'stuck' if stuck else ''} {printed[-3000:]}")
    line = (started.stderr.splitlines() or [""])[-1] if code else ""
    assert code is not None
    if code > 0 and not ERROR.fullmatch(line):
        raise Broken(f"{command} {_tell(blow)}: exit code {code} after {started.stderr[-2000:]!r}")
    return code, line


def _set_out(disk: Disk) -> None:
    """Called in the process of the command, before it."""
    streams.backoff = lambda state: 0.0  # type: ignore[assignment]
    streams.TIMEOUT = (5.0, 0.5)
    disk.install()


def _tell(blow: Blow) -> str:
    return json.dumps(dataclasses.asdict(blow), default=str)


def find_calm(storm: Storm, calms: pathlib.Path) -> Calm:
    """Returns the calm run of a storm's world, made where it is missing."""
    folder = calms / f"{storm.world}{'-loose' * storm.loose}"
    path = folder / "calm.json"
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _make_calm(storm, folder)
    values = json.loads(path.read_text())
    return Calm(folder, **values)


def _make_calm(storm: Storm, folder: pathlib.Path) -> None:
    (folder / "published").mkdir(parents=True)
    writer.write_world(folder / "published", WORLDS[storm.world])
    kaggle_layout(folder / "published", folder / "loose")
    calm = Calm(folder, {}, {}, {})
    with _source(storm, folder) as (source, _):
        site = Site(folder, source, folder / "model")
        site.made.mkdir()
        for command in ("prepare", "score"):
            begin = time.monotonic()
            code, line = attempt(site, command, CALM, calm, 0)
            if code:
                raise Broken(f"the calm run of {command}: {line}")
            calm.seconds[command] = time.monotonic() - begin
            calm.operations[command] = (folder / "operations").stat().st_size
            if command == "prepare":
                Colours.export(site.made / "out" / VERSION, site.model)
    _check_sums(folder / "published", site.made)
    values = {"operations": calm.operations, "seconds": calm.seconds}
    values["results"] = results(site.made)
    (folder / "calm.json").write_text(json.dumps(values))


def _check_sums(world: pathlib.Path, made: pathlib.Path) -> None:
    """Each image has a decision, and each of test a row of the submission."""
    listed = {
        split: pd.read_csv(world / "metadata" / f"{split}.csv", dtype=str)["id"]
        for split in ("train", "test")
    }
    files = (made / "out" / "decisions").glob("*.parquet")
    decided = pd.concat([pd.read_parquet(path) for path in files])["id"]
    assert sorted(decided) == sorted(pd.concat([*listed.values()]))
    assert list(pd.read_csv(made / "submission.csv")["id"]) == list(listed["test"])


@contextlib.contextmanager
def _source(storm: Storm, calm: pathlib.Path) -> Iterator[tuple[str, Weather]]:
    sky = Weather(storm.seed)
    if storm.loose:
        yield str(calm / "loose"), sky
        return
    with faults.serve(calm / "published", sky) as url:
        yield url, sky
