"""The errors that the commands print as one line"""

from __future__ import annotations


class UserError(ValueError):
    """A mistake that the user can mend; the commands print it as one line and exit with 2."""


class TransientError(UserError):
    """A store or a server that does not answer and may later; the commands exit with 1."""


class EngineError(RuntimeError):
    """An engine gave a pipeline up, through no fault of our steps; the commands exit with 1."""


class OnlyBuilt(Exception):
    """A job was built and not run, as a flag of Beam's asks; the commands print it and exit 0."""


def in_one_line(said: object, limit: int = 200) -> str:
    """What an error says, on one line that is cut off behind `limit` characters.

    Control characters are escaped: an error may cite what a server or a file had.
    """
    text = " ".join(str(said).split())
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."
