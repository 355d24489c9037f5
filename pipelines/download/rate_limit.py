"""Limits the rate of requests to each host, and reads opt-out headers."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable

from pipelines.download.options import AGENT

OPT_OUT = {"noai", "noimageai", "noindex", "noimageindex", "none"}  # none: noindex and nofollow
# Directives of X-Robots-Tag with a value: the colon after them ends no agent's name.
WITH_VALUE = re.compile(r"max-|unavailable_after")


class HostThrottle:
    """A limit on the rate of requests to one host, shared by the threads of a process.

    It spaces the starts of requests and can suspend all of them for a time. Token-bucket
    libraries lack the second, which Retry-After asks for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = 0.0  # monotonic seconds of the next start

    def wait(self, interval: float, stop: threading.Event) -> None:
        """Blocks until the caller may start a request, or until `stop` is set.

        Args:
          interval: seconds from this start to the next.
          stop: ends the wait.
        """
        while not stop.is_set():
            with self._lock:
                left = self._free - time.monotonic()
                if left <= 0:
                    self._free = time.monotonic() + interval
                    return
            # Checked again afterwards: another thread may have called `pause` meanwhile.
            stop.wait(left)

    def pause(self, seconds: float) -> None:
        """Suspends all starts of requests for the next `seconds`."""
        with self._lock:
            self._free = max(self._free, time.monotonic() + seconds)


_THROTTLES: dict[str, HostThrottle] = {}  # process-wide: a pause outlives its unit


def host_throttle(host: str, port: int | None) -> HostThrottle:
    """Returns the throttle of a host; http and https share one, each other port has its own."""
    name = host.lower() if port in (None, 80, 443) else f"{host.lower()}:{port}"
    return _THROTTLES.setdefault(name, HostThrottle())


def opt_out_directive(headers: Iterable[str]) -> str | None:
    """Returns the first directive that forbids this use to all agents or to gld2, or None.

    Args:
      headers: values of X-Robots-Tag, such as `noai, noimageai` or `googlebot: noindex`.
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
