"""Byte streams from http(s), gs:// or a folder: retried, resumed where they broke, bounded."""

from __future__ import annotations

import datetime
import io
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import IO

import requests
import tenacity
import urllib3

from pipelines import files
from pipelines.schema import UserError

USER_AGENT = "gld2/0.1 (landmark dataset preparation)"
TIMEOUT = (10, 60)  # seconds to connect, seconds between two bytes
ATTEMPTS = 6  # in a row without one new byte
LONGEST_WAIT = 120.0  # seconds
MAX_SMALL = 1 << 20  # bytes of a file that is read whole
PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Unreachable(OSError):
    """A file that could not be fetched, after all attempts or for good."""


class Missing(Unreachable):
    """There is no such file."""


class Changed(Unreachable):
    """The file changed on the server while it was read; what was read is worth nothing."""


class _Passing(OSError):
    """A fault that may have passed a little later."""

    def __init__(self, message: str, retry_after: float | None = None):
        super().__init__(message)
        self.retry_after = retry_after


def is_http(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def open_stream(path: str) -> IO[bytes]:
    """Opens a file to be read once, front to back.

    Raises:
      Missing: there is none. Later reads raise Unreachable or Changed.
    """
    if is_http(path):
        return io.BufferedReader(HttpStream(path), 1 << 18)  # type: ignore[return-value]
    try:
        return files.open_read(path)
    except UserError as error:
        raise Missing(str(error)) from None


def exists(path: str) -> bool:
    """Raises Unreachable where the server gives no answer."""
    if not is_http(path):
        return files.exists(path)
    try:
        open_stream(path).close()
    except Missing:
        return False
    return True


def version(path: str) -> str:
    """What changes when the file does: its ETag, or its file system's checksum.

    Raises:
      Missing, Unreachable.
    """
    if not is_http(path):
        return files.checksum(path)
    with HttpStream(path) as stream:
        return stream.etag or ""


def read_small(path: str) -> bytes:
    """The content of a file of at most a megabyte.

    Raises:
      Unreachable: it could not be fetched, or is larger.
    """
    with open_stream(path) as stream:
        data = stream.read(MAX_SMALL + 1)
    if len(data) > MAX_SMALL:
        raise Unreachable(f"{path}: expected at most {MAX_SMALL} bytes")
    return data


class HttpStream(io.RawIOBase):
    """A remote file, read once. A dropped connection resumes at the byte it reached."""

    def __init__(self, url: str, attempts: int = ATTEMPTS):
        """Connects.

        Args:
          url: http or https.
          attempts: tries in a row without one new byte before it is given up.

        Raises:
          Missing, Unreachable.
        """
        self._url = url
        self._attempts = attempts
        self._position = 0
        self._etag: str | None = None
        self._response: requests.Response | None = None
        self._session = requests.Session()
        self._session.headers["User-Agent"] = USER_AGENT
        # A transparent gzip would make offsets and digests mean other bytes.
        self._session.headers["Accept-Encoding"] = "identity"
        self._retry(self._connect)

    @property
    def etag(self) -> str | None:
        return self._etag

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._retry(lambda: self._read(len(buffer)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._disconnect()
        self._session.close()
        super().close()

    def _retry(self, action):
        try:
            return tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(_Passing),
                stop=tenacity.stop_after_attempt(self._attempts),
                wait=_wait,
                reraise=True,
            )(action)
        except _Passing as error:
            raise Unreachable(f"{self._url}: {error}, {self._attempts} times in a row") from None

    def _read(self, size: int) -> bytes:
        if self._response is None:
            self._connect()
        try:
            return self._response.raw.read(size)  # type: ignore[union-attr]
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._disconnect()
            raise _Passing(f"broken off at byte {self._position} ({error})") from None

    def _connect(self) -> None:
        headers = {}
        if self._position:
            headers = {"Range": f"bytes={self._position}-", "If-Range": self._etag or ""}
        try:
            response = self._session.get(
                self._url, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=True
            )
        except requests.ConnectionError as error:
            raise _Passing(f"no connection ({_cause(error)})") from None
        except requests.Timeout:
            raise _Passing("timed out") from None
        except requests.RequestException as error:
            raise Unreachable(f"{self._url}: {error}") from None
        self._check(response)
        self._response = response
        self._skip_what_was_read()

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if status in PASSING:
            raise _Passing(f"HTTP status {status}", _retry_after(response))
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise Missing(f"{self._url}: HTTP status {status}, there is no such file")
        if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise Unreachable(f"{self._url}: HTTP status {status}")
        etag = response.headers.get("ETag")
        if self._position and etag != self._etag:
            raise Changed(f"{self._url}: its ETag was {self._etag} and became {etag}")
        self._etag = etag

    def _skip_what_was_read(self) -> None:
        """For a server that answers a Range request with the whole file."""
        response = self._response
        assert response is not None
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            return
        left = self._position
        try:
            while left and (data := response.raw.read(min(left, 1 << 20))):
                left -= len(data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._disconnect()
            raise _Passing(f"broken off again before byte {self._position} ({error})") from None

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    backoff = tenacity.wait_exponential_jitter(initial=0.2, max=30, jitter=0.5)(state)
    return min(LONGEST_WAIT, backoff if asked is None else max(asked, 0.0))


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (when - datetime.datetime.now(datetime.UTC)).total_seconds()


def _cause(error: BaseException) -> str:
    reason = getattr(error.args[0] if error.args else error, "reason", error)
    return str(reason).split(": ", 1)[-1]
