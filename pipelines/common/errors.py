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
