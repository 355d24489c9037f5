"""Byte streams from http(s), gs:// or a folder: retried, resumed where they broke, bounded."""

from __future__ import annotations

import contextlib
import io
import random
import re
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import IO

import requests
import tenacity
import urllib3

from pipelines.common.errors import UserError
from pipelines.storage import filesystem
from pipelines.storage.http_status import retry_after

USER_AGENT = "gld2/0.1 (landmark dataset preparation)"
TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two bytes
ATTEMPTS = 8  # in a row without one new byte; about a minute in all
LOOKS = 5  # attempts where a person waits for an answer
LONGEST_WAIT = 120.0  # seconds
REDIRECTS = 5
MAX_SMALL = 1 << 20  # bytes of a file that is read whole
BUFFER = 1 << 18  # bytes
SCHEMES = ("http", "https", "gs")
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

OnRetry = Callable[[str], None]


class Unreachable(OSError):
    """A file that could not be fetched, after all attempts or for good."""


class Missing(Unreachable):
    """There is no such file."""


class Forbidden(Unreachable):
    """The server refuses it, and will again."""


class Changed(Unreachable):
    """The file changed on the server while it was read; what was read is worth nothing."""


class Transient(OSError):
    """A fault that another attempt, a little later, may not meet."""

    def __init__(self, message: str, kind: str, retry_after: float | None = None):
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class _Local(threading.local):
    """A session for each thread: connections are used again, and none is shared."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.max_redirects = REDIRECTS
        self.session.headers["User-Agent"] = USER_AGENT
        # A transparent gzip would make offsets and digests mean other bytes.
        self.session.headers["Accept-Encoding"] = "identity"


_local = _Local()


def is_http(path: str) -> bool:
    return path.lower().startswith(("http://", "https://"))


def open_stream(path: str, on_retry: OnRetry | None = None) -> IO[bytes]:
    """Opens a file to be read once, front to back.

    Args:
      path: http, https, gs:// or a local path.
      on_retry: told of each fault that is tried again: the HTTP status, timeout,
        dropped, no_connection or wrong_range.

    Raises:
      Missing, Unreachable. Later reads raise Unreachable or Changed.
    """
    _check_scheme(path)
    if is_http(path):
        stream = HttpStream(path, ATTEMPTS, on_retry)
        return io.BufferedReader(stream, BUFFER)  # type: ignore[return-value]
    try:
        return io.BufferedReader(_Stored(path), BUFFER)  # type: ignore[return-value]
    except UserError as error:
        # Only what is known not to be there is missing: a store may have refused to say.
        raise (Unreachable if exists(path) else Missing)(str(error)) from None


def exists(path: str) -> bool:
    """Raises Unreachable where the server gives no answer."""
    _check_scheme(path)
    if not is_http(path):
        with _reaching(path):
            return filesystem.exists(path)
    try:
        HttpStream(path, LOOKS).close()
    except (Missing, Forbidden):  # a bucket that may not be listed forbids what it lacks
        return False
    return True


def version(path: str) -> str:
    """What changes when the file does: its ETag, or its file system's checksum.

    Raises:
      Missing, Unreachable.
    """
    _check_scheme(path)
    if not is_http(path):
        with _reaching(path):
            return filesystem.checksum(path)
    with HttpStream(path, LOOKS) as stream:
        return stream.version or ""


def size(path: str) -> int | None:
    """Bytes of a file, or None where its server does not say.

    Raises:
      Missing, Unreachable.
    """
    _check_scheme(path)
    if not is_http(path):
        with _reaching(path):
            return filesystem.size(path)
    with HttpStream(path, LOOKS) as stream:
        return stream.size


def read_small(path: str, on_retry: OnRetry | None = None) -> bytes:
    """The content of a file of at most a megabyte.

    Raises:
      Unreachable: it could not be fetched, or is larger.
    """
    with open_stream(path, on_retry) as stream:
        data = stream.read(MAX_SMALL + 1)
    if len(data) > MAX_SMALL:
        raise Unreachable(f"{path}: expected at most {MAX_SMALL} bytes")
    return data


@contextlib.contextmanager
def _reaching(path: str) -> Iterator[None]:
    """What a file system gives up, as Unreachable."""
    try:
        yield
    except filesystem.UNREADABLE as error:
        raise Unreachable(f"{path}: {_cause(error)}") from None


class _Stored(io.RawIOBase):
    """A file on a disk or in an object store, whose client tries again by itself."""

    def __init__(self, path: str):
        """Raises UserError where it cannot be opened."""
        self._path = path
        self._file = filesystem.open_read(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        with _reaching(self._path):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class HttpStream(io.RawIOBase):
    """A remote file, read once. A dropped connection resumes at the byte it reached."""

    def __init__(self, url: str, attempts: int = ATTEMPTS, on_retry: OnRetry | None = None):
        """Connects.

        Args:
          url: http or https.
          attempts: tries in a row without one new byte before it is given up.
          on_retry: see open_stream.

        Raises:
          Missing, Unreachable.
        """
        self._url = url
        self._attempts = attempts
        self._on_retry = on_retry
        self._position = 0
        self._version: str | None = None
        self._size: int | None = None  # bytes, where the server says so
        self._response: requests.Response | None = None
        self._retry(self._connect)

    @property
    def version(self) -> str | None:
        """The ETag, or when it was last modified, or None."""
        return self._version

    @property
    def size(self) -> int | None:
        """Bytes, or None."""
        return self._size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._retry(lambda: self._read(len(buffer)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _retry(self, action):
        try:
            return tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(Transient),
                stop=tenacity.stop_after_attempt(self._attempts),
                wait=backoff,
                before_sleep=self._tell,
                reraise=True,
            )(action)
        except Transient as error:
            raise Unreachable(f"{self._url}: {error}, {self._attempts} times in a row") from None

    def _tell(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if self._on_retry and isinstance(error, Transient):
            self._on_retry(error.kind)

    def _read(self, size: int) -> bytes:
        if self._response is None:
            self._connect()
        data = self._receive(size)
        if not data and self._size is not None and self._position < self._size:
            self._disconnect()  # a server may answer with less than was asked for
            raise Transient(f"ended at byte {self._position} of {self._size}", "dropped")
        return data

    def _receive(self, size: int) -> bytes:
        """What has arrived. Waiting for all of `size` would lose it when the line breaks."""
        assert self._response is not None
        try:
            return self._response.raw.read1(size)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._disconnect()
            if isinstance(error, urllib3.exceptions.ReadTimeoutError):
                raise Transient(f"timed out at byte {self._position}", "timeout") from None
            raise Transient(f"broken off at byte {self._position}", "dropped") from None

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
            if (self._version or "").startswith('"'):  # a date or a weak ETag may not be used
                headers["If-Range"] = self._version or ""
        try:
            return _local.session.get(self._url, headers=headers, stream=True, timeout=TIMEOUT)
        except requests.Timeout:
            raise Transient("timed out", "timeout") from None
        except requests.ConnectionError as error:
            raise Transient(f"no connection ({_cause(error)})", "no_connection") from None
        except requests.TooManyRedirects:
            raise Unreachable(f"{self._url}: more than {REDIRECTS} redirects") from None
        except requests.exceptions.InvalidSchema:
            raise Unreachable(f"{self._url}: leads to what is neither http nor https") from None
        # urllib3 and the text of a redirect raise some of their own.
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise Unreachable(f"{self._url}: no request ({type(error).__name__})") from None

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or status >= 500:
            asked = retry_after(response.headers.get("Retry-After", ""))
            raise Transient(f"HTTP status {status}", str(status), asked)
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
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
            self._version, self._size = version, size
        elif version != self._version:
            raise Changed(f"{self._url}: its ETag or date was {self._version}, now {version}")
        elif None not in (size, self._size) and size != self._size:
            raise Changed(f"{self._url}: it had {self._size} bytes and has {size}")

    def _size_in(self, response: requests.Response) -> int | None:
        """Of the whole file, as the answer has it."""
        if response.status_code == HTTPStatus.OK:
            return _number(response.headers.get("Content-Length", ""))
        found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != self._position:
            raise Transient(f"answered with other bytes than {self._position}-", "wrong_range")
        return _number(found[2])

    def _skip(self, left: int) -> None:
        """Reads past what was read before, for a server that answers with the whole file."""
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
    """Returns the seconds to wait before the next attempt: those that the server asks for, or ever
    more; never in step with other workers."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    if asked is not None:
        return min(LONGEST_WAIT, max(asked, 0.0) + random.random())
    return tenacity.wait_random_exponential(multiplier=1, min=0.2, max=LONGEST_WAIT / 2)(state)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _cause(error: BaseException) -> str:
    """The innermost reason in one line, without the names of the objects around it."""
    inner = [getattr(error, "reason", None), *error.args]
    for layer in inner:
        if isinstance(layer, BaseException):
            return _cause(layer)
    return " ".join(re.sub(r"^.*?[)>]: ", "", str(error)).split())
