"""Defines the errors that commands print as one line."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake that the user can correct; commands print it and exit with 2."""


class TransientError(UserError):
    """A store or server does not answer now but may later; commands print it and exit with 1."""


class EngineError(RuntimeError):
    """The engine failed, not a step of the pipeline; commands print it and exit with 1."""


class OnlyBuilt(Exception):
    """A job was built but not run, as a Beam flag asks; commands print it and exit with 0."""


def unequal(counts: str) -> UserError:
    """Returns the error of a stage in which images were lost or counted twice.

    Args:
      counts: what went in and what came out, as text.
    """
    why = "files were changed during the run, or it is a defect of gld2"
    return UserError(f"{counts}; expected equal sums: {why}")


def in_one_line(said: object, limit: int = 200) -> str:
    """Returns what an error says on one line, cut off after `limit` characters.

    Control characters are escaped: an error may cite what a server or a file had.
    """
    text = " ".join(str(said).split())
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."
