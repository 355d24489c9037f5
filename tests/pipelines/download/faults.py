"""A server that misbehaves on purpose, and in the same way in every run."""

from __future__ import annotations

import collections
import contextlib
import email.utils
import enum
import itertools
import os
import pathlib
import random
import select
import socket
import struct
import threading
from http import HTTPStatus
from typing import BinaryIO, Protocol

from pipelines.sample import http_server

PAGE = b"<!DOCTYPE html><html><body>Please slow down</body></html>"
GIVEN_UP = 20.0  # seconds after which a stalled answer ends, should the client never hang up
CUT = 40  # an answer that is cut short holds at most this share of the file


class Fault(enum.StrEnum):
    """What can go wrong with an answer."""

    REQUEST_TIMEOUT = "408"
    TOO_MANY = "429"  # Retry-After in seconds
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"  # Retry-After as a date
    GATEWAY_TIMEOUT = "504"
    HANG_UP = "hang_up"  # no answer at all
    WRONG_RANGE = "wrong_range"  # a range that begins elsewhere
    DROP = "drop"  # the connection is reset at some byte
    TRUNCATE = "truncate"  # the connection is closed in good order, but too early
    STALL = "stall"  # after some bytes nothing comes any more
    NO_RANGE = "no_range"  # the whole file in answer to a Range request, dropped after the Range
    SHORT_RANGE = "short_range"  # fewer bytes than the Range asked for
    WRONG_BODY = "wrong_body"  # one bit is wrong
    HTML = "html"  # a page in place of the file, with status 200
    NEW_ETAG = "new_etag"  # the file seems to have changed half way
    NO_MORE = "416"  # the file seems to have become shorter half way


WITHOUT_PROGRESS = list(Fault)[: list(Fault).index(Fault.DROP)]
STATUSES = [fault for fault in WITHOUT_PROGRESS if fault.isdigit()]
CUTS = (Fault.DROP, Fault.TRUNCATE, Fault.STALL, Fault.NO_RANGE)
# After these, what was read is worth nothing: each costs a fetch of the whole unit.
SPOILING = (Fault.NEW_ETAG, Fault.NO_MORE)
FROM_START = (Fault.WRONG_BODY, Fault.HTML)
ON_RESUMING = (Fault.WRONG_RANGE, Fault.NO_RANGE, Fault.SHORT_RANGE, *SPOILING)


class Takes(Protocol):
    """What decides which fault a request meets."""

    def take(self, path: str, resuming: bool) -> Fault | None: ...


class Schedule:
    """What goes wrong with each file, in an order of its own that other files do not disturb.

    Tars behave until the first md5 is asked for: so nothing is spent on a client that only
    looks which there are.

    Attributes:
      counts: faults given so far.
    """

    def __init__(self, seed: int):
        self.counts: collections.Counter[Fault] = collections.Counter()
        self._seed = seed
        self._begun = False
        self._lock = threading.Lock()
        self._left: dict[str, list[Fault]] = {}

    def take(self, path: str, resuming: bool) -> Fault | None:
        """The first fault of a file that fits the request."""
        with self._lock:
            self._begun = self._begun or path.startswith("/md5sum/")
            if path.endswith(".tar") and not self._begun:
                return None
            left = self._left.setdefault(path, self._plan(path))
            fitting = [f for f in left if f not in (FROM_START if resuming else ON_RESUMING)]
            if not fitting:
                return None
            left.remove(fitting[0])
            self.counts[fitting[0]] += 1
            return fitting[0]

    def spent(self) -> bool:
        """Whether all that was planned for the tars has happened."""
        return not any(left for path, left in self._left.items() if path.endswith(".tar"))

    def _plan(self, path: str) -> list[Fault]:
        chance = random.Random(f"{self._seed} {path}")
        if not path.endswith(".tar"):
            return [chance.choice(STATUSES), Fault.HANG_UP, chance.choice(CUTS[:2])]
        still = WITHOUT_PROGRESS * 2
        moving = [*CUTS * 2, *[Fault.DROP] * 6, *[Fault.SHORT_RANGE] * 2]
        chance.shuffle(still)
        chance.shuffle(moving)
        # In turn, for a client may give up after too many in a row without a new byte.
        faults = list(itertools.chain(*zip(still, moving, strict=True)))
        middle = len(faults) // 2
        for fault in SPOILING:
            faults.insert(chance.randrange(middle, len(faults)), fault)
        for fault in FROM_START:  # earlier, so that a start is still to come
            faults.insert(chance.randrange(middle), fault)
        return faults


class Faulty(http_server.Handler):
    """Answers as its schedule says."""

    schedule: Takes
    fault: Fault | None = None

    def reply(self) -> None:
        if self.find_file() is None:
            return super().reply()
        fault = self.fault = self.schedule.take(self.path, "Range" in self.headers)
        if fault in STATUSES:
            self.refuse(HTTPStatus(int(fault)))
        elif fault is Fault.HANG_UP:
            self.close_connection = True
        elif fault is Fault.HTML:
            self.send_page()
        else:
            super().reply()

    def refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "0")
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", email.utils.formatdate(usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_page(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def send_header(self, keyword: str, value: str) -> None:
        changed = keyword == "ETag" and self.fault is Fault.NEW_ETAG
        super().send_header(keyword, '"changed"' if changed else value)

    def span(self, size: int, etag: str) -> tuple[int, int] | None:
        found = super().span(size, etag)
        if not found or self.fault in (Fault.NO_RANGE, Fault.NEW_ETAG):
            return None
        start, stop = found
        if self.fault is Fault.NO_MORE:
            return size, size
        if self.fault is Fault.WRONG_RANGE:
            return max(start - 512, 0), stop
        if self.fault is Fault.SHORT_RANGE:
            return start, min(start + self.some(size), stop)
        return found

    def some(self, size: int) -> int:
        """A small part of `size` bytes, at least one."""
        chance = random.Random(f"{self.path} {self.headers.get('Range')} {self.fault}")
        return chance.randint(1, max(size // CUT, 1))

    def send_body(self, file: BinaryIO, start: int, stop: int) -> None:
        if self.fault is Fault.WRONG_BODY:
            return self.send_wrong(file)
        if self.fault not in CUTS:
            return super().send_body(file, start, stop)
        begin = super().span(stop, "") if self.fault is Fault.NO_RANGE else None
        begin = begin or (start, stop)
        super().send_body(file, start, min(begin[0] + self.some(stop), stop - 1))
        self.close_connection = True
        if self.fault is Fault.STALL:
            select.select([self.connection], [], [], GIVEN_UP)  # readable once it hangs up
        if self.fault is Fault.DROP:
            reset(self.connection)

    def send_wrong(self, file: BinaryIO) -> None:
        data = bytearray(file.read())
        data[random.Random(self.path).randrange(len(data))] ^= 1
        self.wfile.write(data)


def reset(connection: socket.socket) -> None:
    """Closes without the usual farewell; the other side reads "connection reset"."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def serve(root: pathlib.Path, schedule: Takes) -> contextlib.AbstractContextManager[str]:
    """Serves a folder as a schedule says; gives its URL."""
    return http_server.serve(root, handler=type("Scheduled", (Faulty,), {"schedule": schedule}))
