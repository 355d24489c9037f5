"""Manners towards servers that owe us nothing: who asks, how often, and when not to."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable

AGENT = "gld2"
OPT_OUT = {"noai", "noimageai", "noindex", "noimageindex", "none"}  # none: noindex and nofollow
WITH_VALUE = re.compile(r"max-|unavailable_after")  # X-Robots-Tag: a colon after these is no agent
HOST_PORT = re.compile(r"[^/@\s]+:\d{1,5}\Z")


class HostThrottle:
    """Whose turn it is to ask one host: spaces the starts of requests, and holds them back.

    Rate-limiting libraries give a bucket of tokens, but have no way to say "nobody
    before then", which is what Retry-After means.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = 0.0  # monotonic seconds of the next start

    def wait(self, interval: float, stop: threading.Event) -> None:
        """Returns when it is the caller's turn, or at once when `stop` is set."""
        while not stop.is_set():
            with self._lock:
                left = self._free - time.monotonic()
                if left <= 0:
                    self._free = time.monotonic() + interval
                    return
            # Not slept off as a whole turn: a pause may come meanwhile.
            stop.wait(left)

    def pause(self, seconds: float) -> None:
        """Lets nobody start before so many seconds are over."""
        with self._lock:
            self._free = max(self._free, time.monotonic() + seconds)


_THROTTLES: dict[str, HostThrottle] = {}  # of the process: a pause outlives the unit that met it


def host_throttle(host: str, port: int | None) -> HostThrottle:
    """The turns of a host; http and https are one server, another port is another."""
    name = host.lower() if port in (None, 80, 443) else f"{host.lower()}:{port}"
    return _THROTTLES.setdefault(name, HostThrottle())


def opt_out_directive(headers: Iterable[str]) -> str | None:
    """The directive of X-Robots-Tag headers that asks everyone, or us, to stay away.

    Args:
      headers: their values, such as `noai, noimageai` or `googlebot: noindex`.
    """
    for header in headers:
        agent = "*"
        for part in header.lower().split(","):
            name, colon, rest = part.partition(":")
            if colon and not WITH_VALUE.match(name.strip()):
                agent, name = name.strip(), rest
            if name.strip() in OPT_OUT and agent in ("*", AGENT):
                return name.strip()
    return None
