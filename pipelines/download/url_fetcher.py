"""Fetches photos from the URLs of train.csv: in parallel, in order, rate-limited, SSRF-safe."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from urllib.parse import urljoin

import tenacity
from urllib3 import exceptions
from urllib3.response import BaseHTTPResponse

from pipelines.common.reasons import Reason
from pipelines.download import ssrf_guard
from pipelines.download.options import UrlOptions
from pipelines.download.ordered_map import ordered_map
from pipelines.download.rate_limit import HostThrottle, host_throttle, opt_out_directive
from pipelines.download.ssrf_guard import UrlRejected, redacted
from pipelines.download.tar_reader import Member
from pipelines.storage.http_status import BUSY, GONE, cause, is_transient, retry_after

PIECE = 1 << 16  # bytes
BACKOFF = tenacity.wait_exponential_jitter(initial=0.5, max=60, jitter=0.5)  # seconds
REDIRECTS = {301, 302, 303, 307, 308}
HTML = ("text/html", "application/xhtml+xml")

Fault = int | str  # an HTTP status, "timeout" or "connection"


class _TransientFault(Exception):
    """A fault after which another attempt may succeed."""

    def __init__(self, fault: Fault, detail: str):
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail


def fetch_members(
    rows: Iterable[tuple[str, str]],
    options: UrlOptions,
    max_bytes: int,
    on_retry: Callable[[Fault], object] = lambda fault: None,
) -> Iterator[Member]:
    """Fetches the photos behind URLs; yields one Member for each row, in the order of the rows.

    A URL is requested as it is given; only characters that a URL cannot hold are encoded.
    GLDv2's URLs are percent-encoded, some of them twice: after a 404, a path with `%25`
    is requested once more with one level of encoding removed. A photo whose transfer
    breaks off is fetched again from its start: it is small, and bytes of two answers
    might belong to two versions of the file.

    Args:
      rows: ids and URLs; at most ordered_map.WINDOW for each thread are read ahead.
      options: rate, connections, attempts and timeouts. Rate and pauses hold for the
        whole process, the number of connections for each iterator.
      max_bytes: a larger file is rejected as soon as its size is known. At most
        ordered_map.WINDOW files for each thread are held in memory.
      on_retry: called with each fault that was followed by another attempt, in the
        thread that iterates, where Beam's counters work.

    Yields:
      Members with data, or with one of the reasons BAD_URL, FORBIDDEN_ADDRESS,
      NOT_FOUND, OPTED_OUT, NOT_AN_IMAGE, TOO_LARGE and UNREACHABLE. Only UNREACHABLE
      may be gone on another day.
    """
    fetcher = _Fetcher(options, max_bytes)
    pool = ThreadPoolExecutor(options.threads, "url_fetcher")
    try:
        for member, faults in ordered_map(pool, options.threads, fetcher.fetch, rows):
            for fault in faults:
                on_retry(fault)
            yield member
    finally:  # also where the caller stops early: then no thread waits for the end of a pause
        fetcher.stop.set()
        pool.shutdown(cancel_futures=True)
        fetcher.close()


class _Fetcher:
    """Fetches single URLs; shared by all threads of an iterator."""

    def __init__(self, options: UrlOptions, max_bytes: int):
        self._options = options
        self._max_bytes = max_bytes
        self._pool = ssrf_guard.pool(options)
        self.stop = threading.Event()

    def close(self) -> None:
        self._pool.clear()

    def fetch(self, row: tuple[str, str]) -> tuple[Member, list[Fault]]:
        """Returns the photo or the reason why there is none, and the faults that were retried."""
        image_id, url = row
        faults: list[Fault] = []
        try:
            return Member(image_id, self._fetch_either_spelling(url, faults)), faults
        except UrlRejected as refusal:
            return Member(image_id, None, refusal.reason, refusal.detail), faults

    def _fetch_either_spelling(self, url: str, faults: list[Fault]) -> bytes:
        try:
            return self._fetch_with_retries(url, faults)
        except UrlRejected as refusal:
            unquoted = ssrf_guard.unquote_once(url)
            if refusal.reason is not Reason.NOT_FOUND or unquoted == url:
                raise
        return self._fetch_with_retries(unquoted, faults)

    def _fetch_with_retries(self, url: str, faults: list[Fault]) -> bytes:
        attempts = self._options.attempts
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TransientFault),
            stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_when_event_set(self.stop),
            wait=BACKOFF,
            sleep=tenacity.sleep_using_event(self.stop),
            before_sleep=lambda state: faults.append(state.outcome.exception().fault),  # type: ignore[union-attr]
            reraise=True,
        )
        try:
            return retrying(self._fetch_once, url)
        except _TransientFault as fault:
            detail = f"{redacted(url)}: {fault.detail}, the last of {attempts} attempts"
            raise UrlRejected(Reason.UNREACHABLE, detail) from None

    def _fetch_once(self, url: str) -> bytes:
        """Requests a URL and follows redirects; throttles and checks each step like the first."""
        for _ in range(self._options.max_redirects + 1):
            with self._open_response(url) as response:
                if response.status not in REDIRECTS:
                    return self._read_body(url, response)
                url = _redirect_target(url, response)
        redirects = self._options.max_redirects
        raise UrlRejected(
            Reason.BAD_URL, f"{redacted(url)}: reached by more than {redirects} redirects"
        )

    @contextlib.contextmanager
    def _open_response(self, url: str) -> Iterator[BaseHTTPResponse]:
        """Yields an answer with its body unread; reports faults of the body's transfer, too."""
        parts = ssrf_guard.parse(url)
        throttle = host_throttle(str(parts.host), parts.port)
        throttle.wait(self._options.interval, self.stop)
        if self.stop.is_set():
            raise _TransientFault("stopped", "not asked for any more")
        try:
            response = self._pool.request(
                "GET", url, redirect=False, retries=False, preload_content=False
            )
            with contextlib.closing(response):  # reusable after a body read to its end
                _check_status(url, response, throttle)
                yield response
        except (exceptions.HTTPError, OSError) as error:
            raise _transient_fault(error) from None

    def _read_body(self, url: str, response: BaseHTTPResponse) -> bytes:
        self._check_headers(url, response)
        seconds = self._options.timeouts[2]
        deadline = time.monotonic() + seconds
        body = bytearray()
        # read1 returns what has arrived; read would block until the piece is full.
        while data := response.read1(PIECE, decode_content=False):
            body += data
            if len(body) > self._max_bytes:
                raise self._too_large(url, "more")
            if time.monotonic() > deadline or self.stop.is_set():
                raise _TransientFault("timeout", f"{len(body)} bytes came in {seconds:g} s")
        return bytes(body)

    def _check_headers(self, url: str, response: BaseHTTPResponse) -> None:
        if directive := opt_out_directive(response.headers.getlist("X-Robots-Tag")):
            raise UrlRejected(Reason.OPTED_OUT, f"{redacted(url)}: X-Robots-Tag says {directive}")
        if response.headers.get("Content-Type", "").strip().lower().startswith(HTML):
            raise UrlRejected(Reason.NOT_AN_IMAGE, f"{redacted(url)}: found an HTML page")
        size = response.length_remaining or 0
        if size > self._max_bytes:
            raise self._too_large(url, str(size))

    def _too_large(self, url: str, found: str) -> UrlRejected:
        detail = f"{redacted(url)}: expected at most {self._max_bytes} bytes, found {found}"
        return UrlRejected(Reason.TOO_LARGE, detail)


def _check_status(url: str, response: BaseHTTPResponse, throttle: HostThrottle) -> None:
    """Raises for every status but 200 and redirects; pauses a busy host.

    A photo is fetched whole and from anyone's server: there is no range to answer (206, 416), and
    one that is forbidden (401, 403) is only unreachable, as it may be open another day. A file of
    `streams` is one of a few that everything depends on: there, forbidden is told from missing.

    Raises:
      UrlRejected: another attempt would not help.
      _TransientFault: it may.
    """
    status = response.status
    if status in BUSY:  # pauses the whole host; other answers say nothing of its other photos
        throttle.pause(retry_after(response.headers.get("Retry-After", "")) or 0.0)
    if is_transient(status):
        raise _TransientFault(status, f"HTTP status {status}")
    if status in GONE:
        raise UrlRejected(Reason.NOT_FOUND, f"{redacted(url)}: HTTP status {status}")
    if status != HTTPStatus.OK and status not in REDIRECTS:
        raise UrlRejected(Reason.UNREACHABLE, f"{redacted(url)}: HTTP status {status}")


def _redirect_target(url: str, response: BaseHTTPResponse) -> str:
    try:
        return urljoin(url, response.headers["Location"])
    except (KeyError, ValueError):
        detail = f"{redacted(url)}: HTTP status {response.status} without a usable Location"
        raise UrlRejected(Reason.BAD_URL, detail) from None


def _transient_fault(error: Exception) -> _TransientFault:
    # urllib3 derives a refused connection from its time-outs.
    refused = isinstance(error, exceptions.NewConnectionError)
    if isinstance(error, exceptions.TimeoutError) and not refused:
        return _TransientFault("timeout", "timed out")
    return _TransientFault("connection", f"no whole answer ({cause(error)})")
