"""What the targets share: a promise that is broken, and what a process says unasked."""

from __future__ import annotations

import logging
import warnings


class Broken(Exception):
    """An input for which the code does not do what it promises."""


class Slow(Broken):
    """It takes longer than it may; on a busy machine this tells little."""


def check(holds: bool, promise: str) -> None:
    """Raises Broken where a promise does not hold."""
    if not holds:
        raise Broken(promise)


class Overheard(logging.Handler):
    """Keeps the warnings and the messages that a user would see.

    Attributes:
      said: each of them since `take` was called.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        warnings.showwarning = lambda message, *args, **kwargs: self.said.append(str(message))
        logging.lastResort = self  # type: ignore[assignment]

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def take(self) -> list[str]:
        taken, self.said = self.said, []
        return taken
