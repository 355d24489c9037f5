"""Manners towards servers that owe us nothing: who asks, how often, and when not to."""

from __future__ import annotations

import dataclasses
import math
import re
import threading
import time
from collections.abc import Iterable

from pipelines.common.errors import UserError

AGENT = "gld2"
OPT_OUT = {"noai", "noimageai", "noindex", "noimageindex", "none"}  # none: noindex and nofollow
WITH_VALUE = re.compile(r"max-|unavailable_after")  # X-Robots-Tag: a colon after these is no agent
HOST_PORT = re.compile(r"[^/@\s]+:\d{1,5}\Z")


@dataclasses.dataclass(frozen=True)
class Politeness:
    """How other people's servers are asked. Picklable: it travels to workers.

    The defaults are Wikimedia's, where most of GLDv2's photos lie: its robot policy
    wants a User-Agent with a contact, at most 2 requests in flight and 25 Mbit/s.

    Attributes:
      contact: an e-mail address or a web page where the server's owner can complain.
      requests_per_second: to each host, over all lanes together.
      lanes: workers (processes) that share the limits; each takes its part of them.
      connections: requests in flight, over all lanes; each lane has at least one.
      attempts: tries of one URL before a fault that might pass is taken as lasting.
      timeouts: seconds to connect, between two bytes, and for one whole file.
      max_redirects: from one URL.
      trusted_hosts: names as `host:port` that may have a private address.
    """

    contact: str
    requests_per_second: float = 2.0
    lanes: int = 1
    connections: int = 2
    attempts: int = 6
    timeouts: tuple[float, float, float] = (10.0, 60.0, 600.0)
    max_redirects: int = 5
    trusted_hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raises UserError for what makes no sense."""
        self._check_contact()
        if not (self.requests_per_second > 0 and math.isfinite(self.requests_per_second)):
            found = self.requests_per_second
            raise UserError(f"--requests_per_second: expected more than 0, found {found}")
        for name in ("lanes", "connections", "attempts"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if self.max_redirects < 0 or not min(self.timeouts) > 0:
            raise UserError("expected max_redirects of at least 0 and timeouts of more than 0")
        for host in self.trusted_hosts:
            if not HOST_PORT.match(host):
                raise UserError(f"--trusted_hosts: expected host:port, found {host!r}")

    @property
    def user_agent(self) -> str:
        return f"{AGENT}/0.1 (landmark dataset preparation; {self.contact})"

    @property
    def interval(self) -> float:
        """Seconds between the starts of two of this lane's requests to a host."""
        return self.lanes / self.requests_per_second

    @property
    def threads(self) -> int:
        """Requests that this lane may have in flight."""
        return max(1, self.connections // self.lanes)

    def _check_contact(self) -> None:
        reachable = "@" in self.contact or self.contact.startswith(("http://", "https://"))
        # It becomes a header, and a comment in it: no line breaks, no brackets.
        plain = self.contact.isascii() and self.contact.isprintable()
        if not (reachable and plain) or set("()") & set(self.contact):
            raise UserError(
                "--contact: expected an e-mail address or an http(s) URL, which servers "
                f"are told so that their owners can reach you, found {self.contact!r}"
            )


class Turns:
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


_TURNS: dict[str, Turns] = {}  # of the process: a pause outlives the unit that met it


def turns(host: str, port: int | None) -> Turns:
    """The turns of a host; http and https are one server, another port is another."""
    name = host.lower() if port in (None, 80, 443) else f"{host.lower()}:{port}"
    return _TURNS.setdefault(name, Turns())


def opted_out(headers: Iterable[str]) -> str | None:
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
