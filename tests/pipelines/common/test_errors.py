"""What is said of an error, on one line."""

from __future__ import annotations

import errno
import os

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from apache_beam.io.filesystem import BeamIOError
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from hypothesis import given
from hypothesis import strategies as st

from pipelines import main
from pipelines.common.errors import EngineError, TransientError, UserError, explain, in_one_line

DISK = (
    *(errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EISDIR, errno.EMFILE),
    *(errno.ENAMETOOLONG, errno.ENOENT, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS),
)
WIRE = (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENETUNREACH, errno.EPIPE, errno.ETIMEDOUT)


def too_large() -> MemoryError:
    """NumPy's own."""
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)
    return caught.value


REMOTE = (
    "Traceback (most recent call last):\n  File ...\nValueError: no such thing "
    "[while running 'Step']\n"
)
FAMILIES = [  # an exception, the exit code, what the line has
    (UserError("x.csv row 3: expected a number"), 2, "x.csv row 3: expected a number"),
    (TransientError("the server is busy"), 1, "the server is busy"),
    (EngineError("Pipeline p failed"), 1, "Pipeline p failed; the same command goes on from here"),
    (KeyboardInterrupt(), 130, "stopped; the same command goes on from here"),
    *((OSError(n, os.strerror(n), "/o/f"), 2, f"/o/f: {os.strerror(n)}") for n in DISK),
    *((OSError(n, os.strerror(n)), 1, f"{os.strerror(n)}; the same") for n in WIRE),
    (TimeoutError("timed out"), 1, "timed out; the same command goes on from here"),
    (MemoryError(), 1, "not enough memory"),
    (too_large(), 1, "not enough memory"),
    (pa.ArrowMemoryError("malloc of size 9 failed"), 1, "not enough memory (malloc of size 9"),
    (tf.errors.ResourceExhaustedError(None, None, "OOM"), 1, "not enough memory (OOM"),
    (tf.errors.UnavailableError(None, None, "no route"), 1, "no route; the same command"),
    (tf.errors.PermissionDeniedError(None, None, "gs://b: denied"), 2, "gs://b: denied"),
    (tf.errors.InternalError(None, None, "oops"), 1, "InternalError: oops (unexpected"),
    (api.ServiceUnavailable("later"), 1, "503 later; the same command goes on"),
    (api.TooManyRequests("slower"), 1, "429 slower; the same command goes on"),
    (api.Forbidden("not yours"), 2, "403 not yours"),
    (api.NotFound("no bucket"), 2, "404 no bucket"),
    (auth.DefaultCredentialsError("no credentials"), 2, "no credentials"),
    (auth.TransportError("no route"), 1, "no route; the same command goes on from here"),
    (BeamIOError("Match operation failed", {"/o/*": "no"}), 2, "Match operation failed with"),
    (pa.ArrowInvalid("no magic bytes"), 1, "ArrowInvalid: no magic bytes (unexpected"),
    (RuntimeError(REMOTE), 1, "RuntimeError: ValueError: no such thing (unexpected"),
    (AssertionError(), 1, "AssertionError: AssertionError (unexpected"),
    (RecursionError("too deep"), 1, "RecursionError: too deep (unexpected"),
]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (ValueError("as it is: 5"), "as it is: 5"),
        (ValueError("\n first \n\t second\r\n"), "first second"),
        (OSError(2, "No such file"), "[Errno 2] No such file"),
        ("caf\u00e9 \x1b[31m\x00", r"caf\xe9 \x1b[31m\x00".replace(r"\xe9", "\u00e9")),
        (ValueError(), ""),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "..."),
    ],
)
def test_one_line(said: object, line: str):
    assert in_one_line(said) == line


@given(st.text(), st.integers(0, 50))
def test_it_is_one_and_bounded(said: str, limit: int):
    line = in_one_line(said, limit)
    assert line.isprintable()
    assert len(line) <= limit + len("...")


@pytest.mark.parametrize(("error", "code", "part"), FAMILIES, ids=lambda v: type(v).__name__)
def test_any_exception_is_a_line_and_a_code(error: BaseException, code: int, part: str):
    line, found = explain(error)
    assert found == code
    assert part in line
    assert line.startswith("stopped" if code == 130 else "error: ")


@pytest.mark.parametrize("command", main.COMMANDS)
def test_no_command_prints_a_traceback(command: str, monkeypatch, capsys):
    raised = iter([error for error, *_ in FAMILIES])

    def fails(flags):
        raise next(raised)

    monkeypatch.setattr(f"{main.COMMANDS[command][0]}.main", fails)
    for _, code, part in FAMILIES:
        assert main.main([command]) == code
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith(f"gld2 {command}: ")
        assert part in line
