"""Starts engines until the time is over, and reads from their logs what they did."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import importlib
import pathlib
import re
import subprocess
import sys
import time

from tests.fuzz.promise import Overheard

HANG = 25  # seconds after which one input is a hang
MEGABYTES = 1500  # of the process
STATE = re.compile(r"^#(\d+)\s+(INITED|\w+)\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Growth:
    """What the engines did.

    Attributes:
      executions: inputs tried.
      first, last: coverage (edges), features and corpus, at the start and at the end.
      finds: inputs that break a promise.
    """

    executions: int
    first: tuple[int, ...]
    last: tuple[int, ...]
    finds: list[pathlib.Path]


def fuzz(what: str, seconds: int, folder: pathlib.Path) -> Growth:
    """Fuzzes a target in processes of their own, one after the other; keeps its corpus.

    Args:
      what: images or tars.
      seconds: how long in all.
      folder: holds the corpus, the logs and the finds.
    """
    home = folder / what
    finds = home / time.strftime("finds-%Y%m%d-%H%M%S")
    grown = home / "corpus"
    for each in (finds, grown):
        each.mkdir(parents=True, exist_ok=True)
    target = importlib.import_module(f"tests.fuzz.{what}")
    for data in target.seeds():
        (grown / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    (home / "words").write_text("\n".join(map(_quoted, target.WORDS)))
    until, logs = time.monotonic() + seconds, list[str]()
    while (left := round(until - time.monotonic())) > 0:
        logs.append(_engine(what, target.MOST_BYTES, left, home, finds))
    (home / "log").write_text("\n".join(logs))
    return _growth(logs, sorted(path for path in finds.iterdir() if path.suffix != ".txt"))


def _engine(what: str, most: int, seconds: int, home: pathlib.Path, finds: pathlib.Path) -> str:
    """Runs one engine to its end; returns its log."""
    flags = {
        "max_total_time": seconds, "max_len": most, "timeout": HANG, "rss_limit_mb": MEGABYTES,
        "dict": home / "words", "artifact_prefix": f"{finds}/", "print_final_stats": 1,
    }  # fmt: skip
    words = [sys.executable, "-m", "tests.fuzz.engine", what, str(finds), str(home / "corpus")]
    words += [f"-{name}={value}" for name, value in flags.items()]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace")
    if not STATE.search(done.stderr):
        raise SystemExit(f"the engine does not start:\n{done.stdout}\n{done.stderr}")
    return done.stderr


def _growth(logs: list[str], finds: list[pathlib.Path]) -> Growth:
    states = [STATE.findall(log) for log in logs]
    executions = sum(int(log[-1][0]) for log in states)
    first, last = states[0][0], states[-1][-1]
    numbers = [tuple(map(int, state[2:])) for state in (first, last)]
    return Growth(executions, numbers[0], numbers[1], finds)


def _quoted(word: bytes) -> str:
    """A line of libFuzzer's dictionary."""
    return '"' + "".join(f"\\x{byte:02X}" for byte in word) + '"'


def replay(what: str, paths: list[pathlib.Path]) -> collections.Counter[str]:
    """Tries files again; counts the outcomes, a broken promise by its message."""
    target, overheard = importlib.import_module(f"tests.fuzz.{what}"), Overheard()
    found: collections.Counter[str] = collections.Counter()
    for path in paths:
        try:
            found[target.outcome(path.read_bytes(), overheard)] += 1
        except Exception as error:
            overheard.take()
            found[f"{path}: {type(error).__name__}: {error}"] += 1
    return found
