"""A progress bar over work that is done elsewhere: in threads, processes or on other machines.

The process that started a run lists, again and again, what the run has written. No step of a graph
knows of it, so it works with every engine, and after an interruption a bar starts where the work
stands.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import IO

from tqdm import tqdm

from pipelines.storage import filesystem

ON_DISK, ON_OBJECT_STORE = 1.0, 10.0  # seconds between two looks

BYTES = "B"  # the unit that is shown in MB, GB, ...

Counts = Mapping[str, float]  # what is done, by unit
Look = Callable[[], Counts]


@contextlib.contextmanager
def bar(title: str, look: Look, unit: str, total: int | None, place: str) -> Iterator[None]:
    """Shows a bar while the block runs, if stderr is a terminal.

    What the first look finds was there before: it counts as done, but not in the rate.

    Args:
      title: what is going on.
      look: tells what is done; it is called from a thread. A look that fails is passed over.
      unit: the count that moves the bar; other counts and their rates are shown beside it.
      total: how many units there will be, or None where nobody knows.
      place: where it looks; on an object store it looks less often.
    """
    if not sys.stderr.isatty():
        yield
        return
    seconds = ON_DISK if filesystem.on_disk(place) else ON_OBJECT_STORE
    before = _try(look)
    with (
        _own_stderr() as stderr,
        tqdm(
            file=stderr,
            desc=title,
            total=total,
            initial=before[unit] if before else 0,
            unit=unit if unit == BYTES else f" {unit}",
            unit_scale=unit == BYTES,
        ) as shown,
    ):
        stop = threading.Event()
        update = _Update(shown, look, unit, before)
        thread = threading.Thread(target=_repeat, args=(update, seconds, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _own_stderr() -> IO[str]:
    """Opens stderr for a bar, in a way that `quiet.workers` does not silence."""
    return open(os.dup(sys.stderr.fileno()), "w")


def _try(look: Look) -> Counts | None:
    """Returns what a look tells, or None where it fails."""
    with contextlib.suppress(Exception):  # a file may go while it is listed
        return look()
    return None


def _repeat(update: Callable[[], None], seconds: float, stop: threading.Event) -> None:
    """Updates until it is told to stop, and once more."""
    stopped = False
    while not stopped:
        stopped = stop.wait(seconds)
        update()


class _Update:
    """Updates a bar with the counts that a look returns."""

    def __init__(self, shown: tqdm, look: Look, unit: str, before: Counts | None):
        self._shown, self._look, self._unit, self._before = shown, look, unit, before
        self._started = time.monotonic()

    def __call__(self) -> None:
        if counts := _try(self._look):
            self._take(counts)
        self._shown.refresh()

    def _take(self, counts: Counts) -> None:
        if self._before is None:
            self._before, self._shown.initial = counts, counts[self._unit]
        # The bar does not go back when a worker removes a file and writes it again.
        done = max(self._shown.n, counts[self._unit])
        # A total in bytes is an estimate, and tqdm shows no total that is exceeded.
        self._shown.n = done if self._shown.total is None else min(done, self._shown.total)
        self._shown.set_postfix(self._beside(counts, self._before), refresh=False)

    def _beside(self, counts: Counts, before: Counts) -> dict[str, str]:
        """Returns the other counts, and how fast they grow, as text."""
        seconds = max(time.monotonic() - self._started, 1e-3)
        found: dict[str, str] = {}
        for name in counts:
            if name != self._unit:
                rate = max(0.0, counts[name] - before[name]) / seconds
                found |= {name: f"{counts[name]:.1f}", f"{name}/s": f"{rate:.1f}"}
        return found


class Finished:
    """Counts the units that a run has finished, by the names of the files that are written last.

    A unit that was finished before and will be done again counts once its file has changed.
    """

    def __init__(
        self,
        folder: str,
        ending: str,
        units: Collection[str] | None = None,
        again: Collection[str] = (),
    ):
        """Lists the files of units that will be done again, to see later which have changed.

        Args:
          folder: of the files.
          ending: of a file's name, after the unit's name.
          units: names of the units that count; None for all.
          again: names of the units that will be done again.
        """
        self._ending, self._units = ending, units
        there = filesystem.listing(folder) if again else {}
        self._old = {name: there.get(name) for name in (f"{unit}{ending}" for unit in again)}

    def count(self, files: Mapping[str, filesystem.Entry]) -> int:
        """Returns how many units are done, given a listing of the folder."""
        return sum(self._tells(name, entry) for name, entry in files.items())

    def _tells(self, name: str, entry: filesystem.Entry) -> bool:
        """Returns whether a file tells that one of the units is done."""
        unit = name.removesuffix(self._ending)
        ours = self._units is None or unit in self._units
        return unit != name and ours and self._old.get(name) != entry
