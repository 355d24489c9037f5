"""Tells from an HTTP answer, or the lack of one, whether and when to try again."""

from __future__ import annotations

import datetime
import re
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from pipelines.common.errors import in_one_line

GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
TRANSIENT = BUSY | {HTTPStatus.REQUEST_TIMEOUT}  # and all from 500 on
LONGEST_CAUSE = 300  # characters; an object store names the request before the reason
LONGEST_PAUSE = 600.0  # seconds; the bound of a Retry-After
# What urllib3 puts before the reason of a connection that failed: an object, and that it failed.
_PREFIX = re.compile(r"^.*?[)>]: (Failed to establish a new connection: )?")


def is_transient(status: int) -> bool:
    """Tells whether the answer may be another one a little later."""
    return status in TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def retry_after(value: str) -> float | None:
    """Returns the seconds to wait by a Retry-After header, bounded; None for any other text."""
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_PAUSE)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    left = (when - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(max(left, 0.0), LONGEST_PAUSE)


def cause(error: BaseException) -> str:
    """The innermost reason of a failed request in one line, without the objects around it."""
    for layer in (getattr(error, "reason", None), *error.args):
        if isinstance(layer, BaseException):
            return cause(layer)
    return in_one_line(_PREFIX.sub("", str(error)), LONGEST_CAUSE)
