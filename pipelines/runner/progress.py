"""A progress bar over work that is done elsewhere: in threads, processes or on other machines.

Each worker writes what it has done to a small file of its own, about once a
second; the bar adds the files up. Engines tell no counters while they run
locally, and files work with all of them.
"""

from __future__ import annotations

import collections
import contextlib
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TypeVar

from tqdm import tqdm

from pipelines.common import paths
from pipelines.storage import filesystem

SECONDS = 1.0  # between two writes, and between two looks

RATED = ("images", "MB")  # counts whose rate is shown too

T = TypeVar("T")

_lock = threading.Lock()
_name = uuid.uuid4().hex  # of this worker's files
_counts: dict[str, dict[str, float]] = {}  # folder -> what this worker has done
_written: dict[str, float] = {}  # folder -> when that was last written


def add(folder: str | None, **counts: float) -> None:
    """Says that some work is done.

    Args:
      folder: where bars look, or None where nobody looks.
      **counts: what has been done since the last call, such as images=32.
    """
    if folder is None:
        return
    with _lock:
        total = _counts.setdefault(folder, collections.defaultdict(float))
        for name, number in counts.items():
            total[name] += number
        now = time.monotonic()
        if now - _written.get(folder, 0.0) < SECONDS:
            return
        _written[folder] = now
        snapshot = dict(total)
    filesystem.write_json(paths.join(folder, f"{_name}.json"), snapshot)


def passed(element: T, folder: str | None, unit: str) -> T:
    """The element itself, counted: a step to put between two others."""
    add(folder, **{unit: 1})
    return element


@contextlib.contextmanager
def bar(title: str, folder: str, unit: str, total: int | None = None) -> Iterator[str | None]:
    """Shows a bar on a terminal while the block runs.

    Args:
      title: what is going on.
      folder: for the workers' files; it is removed at the end.
      unit: the count that moves the bar; other counts are shown beside it.
      total: how many there will be, or None where nobody knows.

    Yields:
      the folder for `add`, or None where there is no terminal to show a bar on.
    """
    if not sys.stderr.isatty():
        yield None
        return
    stop = threading.Event()
    with tqdm(total=total, desc=title, unit=f" {unit}") as shown:
        thread = threading.Thread(target=_watch, args=(shown, folder, unit, stop), daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            stop.set()
            thread.join()
            filesystem.remove(folder)
            _counts.pop(folder, None)
        shown.n = total or shown.n  # all went well; the last files may not have been read


def _watch(shown: tqdm, folder: str, unit: str, stop: threading.Event) -> None:
    started = time.monotonic()
    while not stop.wait(SECONDS):
        with contextlib.suppress(Exception):  # a file may be going while it is read
            counts = _sum(folder)
            shown.n = counts.pop(unit, 0)
            shown.set_postfix(counts | _rates(counts, time.monotonic() - started))


def _rates(counts: dict[str, int], seconds: float) -> dict[str, int]:
    return {f"{name}/s": round(counts[name] / seconds) for name in RATED if name in counts}


def _sum(folder: str) -> dict[str, int]:
    total: dict[str, float] = collections.defaultdict(float)
    for path in filesystem.match(paths.join(folder, "*.json")):
        for name, number in filesystem.read_json(path).items():
            total[name] += number
    return {name: round(number) for name, number in total.items()}
