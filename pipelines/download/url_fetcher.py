"""Photos from the URLs of train.csv: several at a time, in order, politely and on guard."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from urllib.parse import urljoin

import tenacity
from urllib3 import exceptions
from urllib3.response import BaseHTTPResponse

from pipelines.common.reasons import Reason
from pipelines.download import ssrf_guard
from pipelines.download.rate_limit import Politeness, Turns, opted_out, turns
from pipelines.download.ssrf_guard import Refused, shown
from pipelines.download.tar_reader import Member
from pipelines.storage.http_status import BUSY, GONE, cause, is_transient, retry_after

WINDOW = 4  # rows in hand for each thread: a slow one holds up few others, and memory is bounded
PIECE = 1 << 16  # bytes
BACKOFF = tenacity.wait_exponential_jitter(initial=0.5, max=60, jitter=0.5)  # seconds
REDIRECTS = {301, 302, 303, 307, 308}
HTML = ("text/html", "application/xhtml+xml")

Fault = int | str  # an HTTP status, "timeout" or "connection"


class _Passing(Exception):
    """A fault that may have passed a little later."""

    def __init__(self, fault: Fault, detail: str):
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail


def members(
    rows: Iterable[tuple[str, str]],
    politeness: Politeness,
    max_bytes: int,
    on_retry: Callable[[Fault], None] | None = None,
) -> Iterator[Member]:
    """The photos behind URLs, in the order of the rows; one Member for each row.

    A URL is asked for as it is given (only characters that a URL cannot hold are
    encoded). GLDv2's are percent-encoded, some of them twice: where the answer is 404
    and the path holds `%25`, it is asked for once more with one level unquoted. A photo
    that breaks off is fetched anew, not resumed: it is small, and the whole of one
    answer needs no proof that two halves belong to the same version.

    Args:
      rows: ids and URLs; read as far as a few rows ahead.
      politeness: how servers are asked. Spacing and pauses hold for the whole
        process, the number of connections for each iterator.
      max_bytes: a larger file is rejected as soon as that can be seen. At most
        WINDOW files of that size for each thread are held at a time.
      on_retry: told of each fault after which a URL is asked for again; called
        in the thread that iterates, where Beam's counters work.

    Yields:
      Members whose reason, where they hold no data, is BAD_URL, FORBIDDEN_ADDRESS,
      NOT_FOUND, OPTED_OUT, NOT_AN_IMAGE, TOO_LARGE or UNREACHABLE; of these only
      UNREACHABLE may be better another day.
    """
    crawler = _Crawler(politeness, max_bytes)
    window: collections.deque[Future[tuple[Member, list[Fault]]]] = collections.deque()
    threads = ThreadPoolExecutor(politeness.threads, "crawl")
    try:
        for image_id, url in rows:
            window.append(threads.submit(crawler.fetch, image_id, url))
            if len(window) >= WINDOW * politeness.threads:
                yield _told(window.popleft(), on_retry)
        while window:
            yield _told(window.popleft(), on_retry)
    finally:  # also where nobody wants the rest: no thread then sleeps out a long pause
        crawler.stop.set()
        threads.shutdown(cancel_futures=True)
        crawler.close()


def _told(
    future: Future[tuple[Member, list[Fault]]], on_retry: Callable[[Fault], None] | None
) -> Member:
    member, faults = future.result()
    for fault in faults if on_retry else ():
        on_retry(fault)  # type: ignore[misc]
    return member


class _Crawler:
    """Fetches single URLs, from many threads."""

    def __init__(self, politeness: Politeness, max_bytes: int):
        self._politeness = politeness
        self._max_bytes = max_bytes
        self._pool = ssrf_guard.pool(politeness)
        self.stop = threading.Event()

    def close(self) -> None:
        self._pool.clear()

    def fetch(self, image_id: str, url: str) -> tuple[Member, list[Fault]]:
        """The photo, or why not, and the faults that were overcome on the way."""
        faults: list[Fault] = []
        try:
            return Member(image_id, self._either_spelling(url, faults)), faults
        except Refused as refusal:
            return Member(image_id, None, refusal.reason, refusal.detail), faults

    def _either_spelling(self, url: str, faults: list[Fault]) -> bytes:
        try:
            return self._persist(url, faults)
        except Refused as refusal:
            unquoted = ssrf_guard.once_unquoted(url)
            if refusal.reason is not Reason.NOT_FOUND or unquoted == url:
                raise
        return self._persist(unquoted, faults)

    def _persist(self, url: str, faults: list[Fault]) -> bytes:
        attempts = self._politeness.attempts
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Passing),
            stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_when_event_set(self.stop),
            wait=BACKOFF,
            sleep=tenacity.sleep_using_event(self.stop),
            before_sleep=lambda state: faults.append(state.outcome.exception().fault),  # type: ignore[union-attr]
            reraise=True,
        )
        try:
            return retrying(self._follow, url)
        except _Passing as passing:
            detail = f"{shown(url)}: {passing.detail}, the last of {attempts} attempts"
            raise Refused(Reason.UNREACHABLE, detail) from None

    def _follow(self, url: str) -> bytes:
        """By hand: each step takes its turn and is looked at like the first."""
        for _ in range(self._politeness.max_redirects + 1):
            with self._ask(url) as response:
                if response.status not in REDIRECTS:
                    return self._body(url, response)
                url = _target(url, response)
        redirects = self._politeness.max_redirects
        raise Refused(Reason.BAD_URL, f"{shown(url)}: reached by more than {redirects} redirects")

    @contextlib.contextmanager
    def _ask(self, url: str) -> Iterator[BaseHTTPResponse]:
        """An answer whose body is not read yet. What breaks while it is, is told as well."""
        parts = ssrf_guard.parse(url)
        queue = turns(str(parts.host), parts.port)
        queue.wait(self._politeness.interval, self.stop)
        if self.stop.is_set():
            raise _Passing("stopped", "not asked for any more")
        try:
            response = self._pool.request(
                "GET", url, redirect=False, retries=False, preload_content=False
            )
            with contextlib.closing(response):  # a body that was read whole keeps its connection
                _check_status(url, response, queue)
                yield response
        except (exceptions.HTTPError, OSError) as error:
            raise _passing(error) from None

    def _body(self, url: str, response: BaseHTTPResponse) -> bytes:
        self._check_headers(url, response)
        seconds = self._politeness.timeouts[2]
        deadline = time.monotonic() + seconds
        body = bytearray()
        # read1 returns what is there; read would wait for a trickle to fill the piece.
        while data := response.read1(PIECE, decode_content=False):
            body += data
            if len(body) > self._max_bytes:
                raise self._too_large(url, "more")
            if time.monotonic() > deadline or self.stop.is_set():
                raise _Passing("timeout", f"{len(body)} bytes came in {seconds:g} s")
        return bytes(body)

    def _check_headers(self, url: str, response: BaseHTTPResponse) -> None:
        if wish := opted_out(response.headers.getlist("X-Robots-Tag")):
            raise Refused(Reason.OPTED_OUT, f"{shown(url)}: X-Robots-Tag says {wish}")
        if response.headers.get("Content-Type", "").strip().lower().startswith(HTML):
            raise Refused(Reason.NOT_AN_IMAGE, f"{shown(url)}: found an HTML page")
        size = response.length_remaining or 0
        if size > self._max_bytes:
            raise self._too_large(url, str(size))

    def _too_large(self, url: str, found: str) -> Refused:
        detail = f"{shown(url)}: expected at most {self._max_bytes} bytes, found {found}"
        return Refused(Reason.TOO_LARGE, detail)


def _check_status(url: str, response: BaseHTTPResponse, queue: Turns) -> None:
    """Lets 200 and redirects through.

    A photo is fetched whole and from anyone's server: there is no range to answer (206, 416), and
    one that is forbidden (401, 403) is only unreachable, as it may be open another day. A file of
    `streams` is one of a few that all hang on: forbidden, it is told from one that is missing.
    """
    status = response.status
    if status in BUSY:  # holds the whole host; other answers say nothing of its other photos
        queue.pause(retry_after(response.headers.get("Retry-After", "")) or 0.0)
    if is_transient(status):
        raise _Passing(status, f"HTTP status {status}")
    if status in GONE:
        raise Refused(Reason.NOT_FOUND, f"{shown(url)}: HTTP status {status}")
    if status != HTTPStatus.OK and status not in REDIRECTS:
        raise Refused(Reason.UNREACHABLE, f"{shown(url)}: HTTP status {status}")


def _target(url: str, response: BaseHTTPResponse) -> str:
    try:
        return urljoin(url, response.headers["Location"])
    except (KeyError, ValueError):
        detail = f"{shown(url)}: HTTP status {response.status} without a usable Location"
        raise Refused(Reason.BAD_URL, detail) from None


def _passing(error: Exception) -> _Passing:
    refused = isinstance(error, exceptions.NewConnectionError)  # to urllib3, a time-out as well
    if isinstance(error, exceptions.TimeoutError) and not refused:
        return _Passing("timeout", "timed out")
    return _Passing("connection", f"no whole answer ({cause(error)})")
