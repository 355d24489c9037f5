"""Which HTTP answers may pass, and what is said of a request that has none."""

from __future__ import annotations

from http import HTTPStatus

import pytest
import requests
from urllib3 import exceptions

from pipelines.storage import http_status
from pipelines.storage.http_status import cause, is_transient


def test_the_table():
    passing = {status.value for status in HTTPStatus if is_transient(status)}
    assert passing == {408, 429, *(status.value for status in HTTPStatus if status >= 500)}
    assert is_transient(599)
    assert not any(map(is_transient, http_status.GONE))
    assert all(map(is_transient, http_status.BUSY))


REFUSED = "HTTPConnection(host='127.0.0.1', port=1): Failed to establish a new connection: "


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(2, "No such file or directory", "a b"), "[Errno 2] No such file or directory"),
        (exceptions.HTTPError(f"{REFUSED}[Errno 111] Refused"), "[Errno 111] Refused"),
        (exceptions.HTTPError("<object at 0x7f>: no route"), "no route"),
        (exceptions.ProtocolError("aborted", ConnectionResetError("reset")), "reset"),
        (exceptions.MaxRetryError(None, "/", exceptions.SSLError("a\n  b")), "a b"),  # type: ignore[arg-type]
        (exceptions.ProtocolError("aborted", ValueError("\x1b[31mred")), r"\x1b[31mred"),
        (OSError(), ""),
    ],
)
def test_a_cause_is_the_innermost_in_one_line(error: Exception, expected: str):
    assert cause(error).startswith(expected)
    assert cause(requests.ConnectionError(error)) == cause(error)
