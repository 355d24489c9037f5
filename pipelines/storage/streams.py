"""Opens byte streams from http(s), gs:// or a folder; retries and resumes broken transfers."""

from __future__ import annotations

import contextlib
import io
import random
import re
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import IO, TypeVar

import requests
import tenacity
import urllib3

from pipelines.common.errors import UserError
from pipelines.storage import filesystem
from pipelines.storage.http_status import GONE, cause, is_transient, retry_after

USER_AGENT = "gld2/0.1 (landmark dataset preparation)"
TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two bytes
ATTEMPTS = 8  # in a row without a new byte; about a minute in all
PROBE_ATTEMPTS = 5  # attempts of a probe, for whose answer a person waits
LONGEST_WAIT = 120.0  # seconds
REDIRECTS = 5
MAX_SMALL = 1 << 20  # bytes; the bound of read_small
BUFFER = 1 << 18  # bytes
SCHEMES = ("http", "https", "gs")
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

OnRetry = Callable[[str], None]
T = TypeVar("T")


class Unreachable(OSError):
    """A file could not be fetched: all attempts failed, or it is not available."""


class Missing(Unreachable):
    """The file does not exist."""


class Forbidden(Unreachable):
    """The server refuses access to the file."""


class Changed(Unreachable):
    """The file changed on the server while it was read; discard what was read."""


class TransientFault(OSError):
    """A fault after which another attempt may succeed."""

    def __init__(self, message: str, kind: str, retry_after: float | None = None):
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class _ThreadSession(threading.local):
    """An HTTP session for each thread, so that connections are reused but not shared."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.max_redirects = REDIRECTS
        self.session.headers["User-Agent"] = USER_AGENT
        # With transparent gzip, offsets and digests would not be those of the file's bytes.
        self.session.headers["Accept-Encoding"] = "identity"


_thread = _ThreadSession()


def is_http(path: str) -> bool:
    """Returns whether a path is an http or https URL."""
    return path.lower().startswith(("http://", "https://"))


def open_stream(path: str, on_retry: OnRetry | None = None) -> IO[bytes]:
    """Opens a file to be read once, from its start to its end.

    Args:
      path: http, https, gs:// or a local path.
      on_retry: called with the kind of each fault that is retried: the HTTP status, or
        timeout, dropped, no_connection or wrong_range.

    Raises:
      Missing: the file does not exist.
      Unreachable: it could not be opened. Later reads raise Unreachable or Changed.
    """
    _check_scheme(path)
    if is_http(path):
        stream = HttpStream(path, ATTEMPTS, on_retry)
        return io.BufferedReader(stream, BUFFER)  # type: ignore[return-value]
    try:
        return io.BufferedReader(_StoredFile(path), BUFFER)  # type: ignore[return-value]
    except UserError as error:
        # A store may have refused access: only a file that is known to be absent is missing.
        raise (Unreachable if exists(path) else Missing)(str(error)) from None


@contextlib.contextmanager
def open_input(path: str) -> Iterator[IO[bytes]]:
    """Opens a file that the user named, as `open_stream` does, and closes it after the block.

    Raises:
      UserError: it cannot be opened, or read to where the block reads.
    """
    try:
        with open_stream(path) as stream:
            yield stream
    except OSError as error:
        detail = str(error).removeprefix(f"{path}: ")
        if not detail.startswith("cannot be read"):
            detail = f"cannot be read ({detail})"
        raise UserError(f"{path}: {detail}") from None


def exists(path: str) -> bool:
    """Returns whether a file exists.

    Raises:
      Unreachable: the server does not answer.
    """
    try:
        return _probe(path, filesystem.exists, lambda stream: True)
    except (Missing, Forbidden):  # a bucket without the right to list answers so for absent files
        return False


def version(path: str) -> str:
    """Returns a text that changes with the file: its ETag or its file system's checksum.

    Raises:
      Missing: the file does not exist.
      Unreachable: the server does not answer.
    """
    return _probe(path, filesystem.checksum, lambda stream: stream.version or "")


def size(path: str) -> int | None:
    """Returns the size of a file in bytes, or None where its server does not report it.

    Raises:
      Missing: the file does not exist.
      Unreachable: the server does not answer.
    """
    return _probe(path, filesystem.size, lambda stream: stream.size)


def _probe(path: str, stored: Callable[[str], T], remote: Callable[[HttpStream], T]) -> T:
    """Returns what one of two functions tells of a file.

    Args:
      path: of the file.
      stored: takes the path of a file on a disk or in an object store.
      remote: takes the stream of a file behind http(s).
    """
    _check_scheme(path)
    if is_http(path):
        with HttpStream(path, PROBE_ATTEMPTS) as stream:
            return remote(stream)
    with _raising_unreachable(path):
        return stored(path)


def read_small(path: str, on_retry: OnRetry | None = None) -> bytes:
    """Returns the content of a file of at most MAX_SMALL bytes.

    Raises:
      Unreachable: the file could not be fetched, or is larger.
    """
    with open_stream(path, on_retry) as stream:
        data = stream.read(MAX_SMALL + 1)
    if len(data) > MAX_SMALL:
        raise Unreachable(f"{path}: expected at most {MAX_SMALL} bytes")
    return data


@contextlib.contextmanager
def _raising_unreachable(path: str) -> Iterator[None]:
    """Raises the errors of a file system as Unreachable."""
    try:
        yield
    except filesystem.unreadable() as error:
        raise Unreachable(f"{path}: {cause(error)}") from None


class _StoredFile(io.RawIOBase):
    """A file on a disk or in an object store, whose client retries by itself."""

    def __init__(self, path: str):
        """Opens the file; raises UserError where it cannot be opened."""
        self._path = path
        self._file = filesystem.open_read(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        with _raising_unreachable(self._path):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class HttpStream(io.RawIOBase):
    """A remote file, read once; after a dropped connection it resumes at the next byte.

    Attributes:
      version: the ETag or else the Last-Modified date, or None without either.
      size: in bytes, or None where the server does not report it.
    """

    def __init__(self, url: str, attempts: int, on_retry: OnRetry | None = None):
        """Connects.

        Args:
          url: http or https.
          attempts: in a row without a new byte before the file is given up.
          on_retry: see open_stream.

        Raises:
          Missing: the file does not exist.
          Unreachable: the server does not answer.
        """
        self._url = url
        self._attempts = attempts
        self._on_retry = on_retry
        self._position = 0
        self.version: str | None = None
        self.size: int | None = None
        self._response: requests.Response | None = None
        self._retry(self._connect)

    def readable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer) -> int:
        """Reads the next bytes into `buffer`; returns their number, 0 at the end."""
        data = self._retry(lambda: self._read(len(buffer)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Closes the connection."""
        self._disconnect()
        super().close()

    def _retry(self, action):
        try:
            return tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(TransientFault),
                stop=tenacity.stop_after_attempt(self._attempts),
                wait=backoff,
                before_sleep=self._report_retry,
                reraise=True,
            )(action)
        except TransientFault as error:
            raise Unreachable(f"{self._url}: {error}, {self._attempts} times in a row") from None

    def _report_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if self._on_retry and isinstance(error, TransientFault):
            self._on_retry(error.kind)

    def _read(self, size: int) -> bytes:
        if self._response is None:
            self._connect()
        data = self._receive(size)
        if not data and self.size is not None and self._position < self.size:
            self._disconnect()  # a server may send less than was requested
            raise TransientFault(f"ended at byte {self._position} of {self.size}", "dropped")
        return data

    def _receive(self, size: int) -> bytes:
        """Returns what has arrived; a read of all of `size` would lose it on a broken line."""
        assert self._response is not None
        try:
            return self._response.raw.read1(size)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._disconnect()
            if isinstance(error, urllib3.exceptions.ReadTimeoutError):
                raise TransientFault(f"timed out at byte {self._position}", "timeout") from None
            raise TransientFault(f"broken off at byte {self._position}", "dropped") from None

    def _connect(self) -> None:
        self._response = self._get()
        try:
            self._check(self._response)
            if self._response.status_code == HTTPStatus.OK:
                self._skip(self._position)
        except OSError:
            self._disconnect()
            raise

    def _get(self) -> requests.Response:
        headers = {}
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
            if (self.version or "").startswith('"'):  # If-Range: strong ETags only
                headers["If-Range"] = self.version or ""
        try:
            return _thread.session.get(self._url, headers=headers, stream=True, timeout=TIMEOUT)
        except requests.Timeout:
            raise TransientFault("timed out", "timeout") from None
        except requests.ConnectionError as error:
            raise TransientFault(f"no connection ({cause(error)})", "no_connection") from None
        except requests.TooManyRedirects:
            raise Unreachable(f"{self._url}: more than {REDIRECTS} redirects") from None
        except requests.exceptions.InvalidSchema:
            raise Unreachable(f"{self._url}: leads to what is neither http nor https") from None
        # Errors of urllib3, and of a malformed redirect.
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise Unreachable(f"{self._url}: no request ({type(error).__name__})") from None

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if is_transient(status):
            # Any of them may say when to come back: this stream alone waits, not its host.
            asked = retry_after(response.headers.get("Retry-After", ""))
            raise TransientFault(f"HTTP status {status}", str(status), asked)
        if status in GONE:
            raise Missing(f"{self._url}: HTTP status {status}, there is no such file")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Forbidden(f"{self._url}: HTTP status {status}")
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self._position:
            raise Changed(f"{self._url}: it had more than {self._position} bytes and has no more")
        if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise Unreachable(f"{self._url}: HTTP status {status}")
        self._check_version(response)

    def _check_version(self, response: requests.Response) -> None:
        version = response.headers.get("ETag") or response.headers.get("Last-Modified")
        size = self._size_in(response)
        if not self._position:
            self.version, self.size = version, size
        elif version != self.version:
            raise Changed(f"{self._url}: its ETag or date was {self.version}, now {version}")
        elif None not in (size, self.size) and size != self.size:
            raise Changed(f"{self._url}: it had {self.size} bytes and has {size}")

    def _size_in(self, response: requests.Response) -> int | None:
        """Returns the size of the whole file as the answer reports it, or None."""
        if response.status_code == HTTPStatus.OK:
            return _number(response.headers.get("Content-Length", ""))
        found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != self._position:
            raise TransientFault(f"answered with other bytes than {self._position}-", "wrong_range")
        return _number(found[2])

    def _skip(self, left: int) -> None:
        """Skips what was read before, where a server answers with the whole file."""
        while left:
            data = self._receive(min(left, BUFFER))
            if not data:
                raise Changed(f"{self._url}: it had more than {self._position} bytes")
            left -= len(data)

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


def _check_scheme(path: str) -> None:
    scheme, found, _ = path.partition("://")
    if found and scheme.lower() not in SCHEMES:
        raise Unreachable(f"{path}: expected http, https, gs:// or a local path")


def backoff(state: tenacity.RetryCallState) -> float:
    """Returns the seconds to wait: the server's, or an exponential backoff; both with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    if asked is not None:
        return min(LONGEST_WAIT, max(asked, 0.0) + random.random())
    return tenacity.wait_random_exponential(multiplier=1, min=0.2, max=LONGEST_WAIT / 2)(state)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
