"""Defines the errors of commands, and the line and exit code in which any exception ends."""

from __future__ import annotations

import errno
import sys

DEBUG = "GLD2_DEBUG"  # environment variable; where it is set, tracebacks are printed too
AGAIN = "the same command goes on from here"
UNEXPECTED = f"unexpected; with {DEBUG}=1 the command shows where, for a report of the defect"
NETWORK = frozenset(
    getattr(errno, name)
    for name in (
        "EAGAIN", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH",
        "EINTR", "ENETDOWN", "ENETRESET", "ENETUNREACH", "EPIPE", "ESTALE", "ETIMEDOUT",
    )
)  # fmt: skip
# Names of libraries' errors, as this package imports none of them: those that may pass, and those
# of which the user can correct the cause.
PASSING = {
    *("Aborted", "AbortedError", "BadGateway", "DeadlineExceeded", "DeadlineExceededError"),
    *("GatewayTimeout", "InternalServerError", "RetryError", "ServerError", "ServiceUnavailable"),
    *("TooManyRequests", "TransportError", "UnavailableError"),
}
CORRECTABLE = {
    *("ClientError", "Forbidden", "GoogleAuthError", "NotFound", "NotFoundError", "Unauthorized"),
    *("PermissionDeniedError", "BeamIOError"),
}
MEMORY = {"MemoryError", "ResourceExhaustedError"}


class UserError(ValueError):
    """A mistake that the user can correct; commands print it and exit with 2."""


class TransientError(UserError):
    """A store or server does not answer now but may later; commands print it and exit with 1."""


class EngineError(RuntimeError):
    """The engine failed, not a step of the pipeline; commands print it and exit with 1."""


class OnlyBuilt(Exception):
    """A job was built but not run, as a Beam flag asks; commands print it and exit with 0."""


def explain(error: BaseException) -> tuple[str, int]:
    """Returns what a command prints of an exception, and its exit code.

    The code is 2 where the user can correct the cause, 1 where it may pass, where memory was too
    small and where nobody expected the exception, 130 after Ctrl-C, 141 where nothing reads what
    the command prints, as in a shell after `| head`.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    said = _said(error)
    if isinstance(error, KeyboardInterrupt):
        return f"stopped; {AGAIN}", 130
    if isinstance(error, UserError):
        return f"error: {error}", 1 if isinstance(error, TransientError) else 2
    if isinstance(error, EngineError):
        return f"error: {error}; {AGAIN}", 1
    if isinstance(error, BrokenPipeError) and _is_unread():
        return "stopped: nothing reads what it prints", 141
    if MEMORY & names:
        return f"error: not enough memory ({said})", 1
    if isinstance(error, OSError) and error.errno:
        named = f"{error.filename}: " if error.filename else ""
        line = f"error: {named}{error.strerror}"
        return (f"{line}; {AGAIN}", 1) if error.errno in NETWORK else (line, 2)
    if PASSING & names or isinstance(error, TimeoutError | ConnectionError):
        return f"error: {said}; {AGAIN}", 1
    if CORRECTABLE & names:
        return f"error: {said}", 2
    return f"error: {type(error).__name__}: {said} ({UNEXPECTED})", 1


def _said(error: BaseException) -> str:
    """Returns the message of an exception; of a worker's, whose traceback it cites, the end."""
    text = str(error) or type(error).__name__
    if "Traceback (most recent call last)" in text:
        text = text.strip().splitlines()[-1]
    return in_one_line(text.split(" [while running")[0], 500)


def _is_unread() -> bool:
    """Returns whether stdout is a pipe whose reader has gone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    return False


def install(extra: str) -> str:
    """Returns what to do where a library of one of this distribution's extras is missing."""
    return (
        f"install gld2 from where it came with its extra {extra!r}: "
        f"in its source folder by pip install '.[{extra}]'"
    )


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
