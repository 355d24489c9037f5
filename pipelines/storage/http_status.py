"""Reads from HTTP answers when to retry."""

from __future__ import annotations

import datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE = 600.0  # seconds; the bound of a Retry-After


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
