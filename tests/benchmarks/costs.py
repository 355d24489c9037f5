"""What work took, and what several benchmarks do with it."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import psutil

from tests.conftest import ROOT

T = TypeVar("T")


@dataclasses.dataclass
class Cost:
    """What some work took.

    Attributes:
      seconds: by the clock.
      cpu: seconds of all cores together.
      largest: MB of the largest process, at its peak.
      together: MB of all processes, at their peak.
    """

    seconds: float
    cpu: float = 0.0
    largest: float = 0.0
    together: float = 0.0


def of_each(runs: Iterable[Cost], count: int, starts: Sequence[Cost] = ()) -> list[Cost]:
    """What one of `count` took; the median start-up is taken off, as one is as good as another."""
    seconds, cpu = (
        float(np.median([getattr(start, by) for start in starts])) if starts else 0.0
        for by in ("seconds", "cpu")
    )
    return [
        dataclasses.replace(
            run, seconds=(run.seconds - seconds) / count, cpu=(run.cpu - cpu) / count
        )
        for run in runs
    ]


class Watch:
    """Begins to measure its own process."""

    def __init__(self) -> None:
        self._seconds, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, count: int = 1) -> Cost:
        """What one of `count` took."""
        seconds, cpu = time.perf_counter() - self._seconds, time.process_time() - self._cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        return Cost(seconds / count, cpu / count, peak, peak)


def run(words: Sequence[str]) -> Cost:
    """Runs a command, sampling the memory of all its processes."""
    started, cpu = time.perf_counter(), _cpu_of_commands()
    found = Cost(0.0)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)
        threading.Thread(target=_sample, args=(process.pid, found), daemon=True).start()
        if process.wait():
            log.seek(0)
            sys.exit(log.read().decode()[-3000:])
    found.seconds, found.cpu = time.perf_counter() - started, _cpu_of_commands() - cpu
    return found


def gld2(*words: object) -> Cost:
    """Runs the gld2 command."""
    return run([sys.executable, "-m", "pipelines.main", *map(str, words)])


def _cpu_of_commands() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _sample(pid: int, found: Cost) -> None:
    try:
        root = psutil.Process(pid)
        while True:
            sizes = [p.memory_info().rss / 1e6 for p in [root, *root.children(recursive=True)]]
            found.largest = max(found.largest, *sizes)
            found.together = max(found.together, sum(sizes))
            time.sleep(0.2)
    except psutil.NoSuchProcess:
        return


def alone(work: Callable[..., T], *args: object) -> T:
    """What work returns in a new process, which goes away with all that it imported."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(work, *args).result()


def in_turns(works: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each of them returns in each round."""
    found: dict[str, list[T]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(work())
    return found


def speed(ours: Iterable[Any], other: Iterable[Any], by: str = "seconds") -> list[float]:
    """Of each round, ours beside the other's: above 1 where ours took less."""
    return [getattr(b, by) / getattr(a, by) for a, b in zip(ours, other, strict=True)]


def spread(values, how: str) -> str:
    """Median and range."""
    median, low, high = (format(f(values), how) for f in (np.median, np.min, np.max))
    return f"{median} ({low} to {high})"


def spread_out(number: int) -> str:
    """16 hex that differ between numbers, in another order than theirs."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"


def met(good: bool | np.bool_) -> str:
    return "met" if good else "not met"


def report(found: Mapping[str, Sequence[Cost]]) -> None:
    """Prints what each took: median and range."""
    print("| | s | s of CPU | a second | largest MB | MB together |\n|---|---|---|---|---|---|")
    for name, runs in found.items():
        seconds = np.array([run.seconds for run in runs])
        times = [spread(values, ".4g") for values in (seconds, [run.cpu for run in runs])]
        peaks = [f"{max(getattr(run, by) for run in runs):,.0f}" for by in ("largest", "together")]
        print("|", " | ".join([name, *times, spread(1 / seconds, ",.4g"), *peaks]), "|")


def beside(found: Mapping[str, Sequence[Cost]], ours: str, other: str, goal: float = 0) -> None:
    """Prints how fast one is beside the other; a goal is on the clock."""
    clock, cpu = (speed(found[ours], found[other], by) for by in ("seconds", "cpu"))
    line = f"{ours} / {other}: {spread(clock, '.3f')}, by CPU time {spread(cpu, '.3f')}"
    print(line + (f"; goal {goal}: {met(np.median(clock) >= goal)}" if goal else ""))


def absent(needs: Iterable[pathlib.Path]) -> str:
    """What is wanted and not there, as a sentence; empty where all is."""
    names = [str(path.relative_to(ROOT.parent)) for path in needs if not path.exists()]
    return f"needs ../{', ../'.join(names)}, which is not there" if names else ""


@contextlib.contextmanager
def scratch() -> Iterator[pathlib.Path]:
    """A folder, removed in the end."""
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as name:
        yield pathlib.Path(name)


def parser(text: str | None) -> argparse.ArgumentParser:
    """Whose help begins with a module's docstring."""
    return argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def need(needs: Iterable[pathlib.Path]) -> None:
    """Ends the command where something is not there."""
    if sentence := absent(needs):
        sys.exit(sentence)
