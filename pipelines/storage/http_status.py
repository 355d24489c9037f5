"""What an HTTP answer says about trying again"""

from __future__ import annotations

import datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE = 600.0  # seconds that a server's Retry-After can hold a host


def retry_after(value: str) -> float | None:
    """The seconds that a Retry-After header asks for, bounded; None where it says nothing."""
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
