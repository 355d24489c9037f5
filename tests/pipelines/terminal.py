"""A pseudo terminal, and the progress bars that were shown on it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pty
import re
import termios
import threading
from collections.abc import Iterator

ROWS, COLUMNS = 40, 120
FRAME = re.compile(
    r"(?P<title>[\w-]+): +\d+%\|[^|]*\| *(?P<done>[\d.]+)(?P<prefix>[kMG]?)/(?P<total>[\d.]+)\S* "
    r"\[(?P<spent>[\d:]+)<(?P<left>[\d:]+|\?), +(?P<rate>[\d.?]+)(?P<per>[^,\]]*)"
    r"(?:, MB=(?P<megabytes>[\d.]+), MB/s=(?P<speed>[\d.]+))?\]"
)


@dataclasses.dataclass(frozen=True)
class Frame:
    """A bar, as it was drawn once; text as it stood there.

    Attributes:
      title: what goes on.
      done, total: in `prefix` of the unit.
      spent, left: time, as 00:05; left is ? where no rate is known.
      rate, per: how fast, and of what: 2.0 and units/s, or 0.5 and s/units.
      megabytes, speed: beside it, or None.
    """

    title: str
    done: float
    prefix: str
    total: float
    spent: str
    left: str
    rate: str
    per: str
    megabytes: float | None
    speed: float | None

    @property
    def is_rated(self) -> bool:
        """Whether a rate and a time that is left are told."""
        return "?" not in self.left + self.rate


class Screen:
    """A terminal that keeps all that is written on it.

    Attributes:
      slave: the file descriptor to write to.
      text: that was written, once the terminal is closed.
    """

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (ROWS, COLUMNS))
        self._found: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.text = ""

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nobody can write any more
            while found := os.read(self._master, 1 << 16):
                self._found.append(found)

    def close(self) -> None:
        """Waits for the rest; whoever else has the terminal open must have ended."""
        os.close(self.slave)
        self._reader.join(10)
        os.close(self._master)
        self.text = b"".join(self._found).decode()

    def frames(self, title: str) -> list[Frame]:
        """All states of a bar, in their order."""
        found = [match.groupdict() for match in FRAME.finditer(self.text)]
        numbers = ("done", "total", "megabytes", "speed")
        typed = [d | {n: None if d[n] is None else float(d[n]) for n in numbers} for d in found]
        return [Frame(**each) for each in typed if each["title"] == title]


@contextlib.contextmanager
def stderr_on_a_terminal() -> Iterator[Screen]:
    """Makes stderr a terminal for the block; its text is there when the block has ended."""
    screen = Screen()
    file = os.fdopen(os.dup(screen.slave), "w")
    with contextlib.closing(screen), file, contextlib.redirect_stderr(file):
        yield screen
