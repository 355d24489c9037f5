"""Commands that are killed where a person cannot aim: as they give a file its name."""

from __future__ import annotations

import functools
import os
import pathlib
import signal
import tempfile

from pipelines.storage import filesystem
from tests.preloaded import Command


def at_rename(fatal: int, moment: str) -> None:
    """Has this process's group killed at the so manieth rename, before or after it."""
    rename, count = filesystem.rename, 0

    def counted(old: str, new: str) -> None:
        nonlocal count
        count += 1
        if (count, "before") == (fatal, moment):
            os.killpg(0, signal.SIGKILL)
        rename(old, new)
        if (count, "after") == (fatal, moment):
            os.killpg(0, signal.SIGKILL)

    filesystem.rename = counted


def kill(fatal: int, *words: str) -> None:
    """Runs gld2 score until it is about to give a file its name the so manieth time."""
    with tempfile.TemporaryDirectory() as folder:
        first = functools.partial(at_rename, fatal, "before")
        done = Command(["score", *words], pathlib.Path(folder), first=first)
        assert done.wait() == -signal.SIGKILL, done.stderr
