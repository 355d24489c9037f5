"""Streams from a real server that misbehaves."""

from __future__ import annotations

import pathlib
from http import HTTPStatus

import pytest
import tenacity

from pipelines.sample import http_server
from pipelines.storage import streams
from pipelines.storage.http_status import retry_after

BACKOFF = streams.backoff  # as it is where no test shortens it
DATA = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "file.tar").write_bytes(DATA)
    return tmp_path


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "backoff", lambda state: 0.0)


class Faulty(http_server.Handler):
    """Counts requests, and has faults to give for the first of them."""

    requests: list[str | None]
    clients: set[tuple]
    faults: list

    def reply(self):
        type(self).requests.append(self.headers.get("Range"))
        type(self).clients.add(self.client_address)
        if self.faults and isinstance(self.faults[0], HTTPStatus):
            return self.send_error(type(self).faults.pop(0))
        return super().reply()

    def send_body(self, file, start, stop):
        if self.faults:
            stop = start + type(self).faults.pop(0)
            self.close_connection = True
        super().send_body(file, start, stop)


def faulty(*faults, base=Faulty):
    return type("Handler", (base,), {"requests": [], "clients": set(), "faults": list(faults)})


def read_all(address: str) -> bytes:
    with streams.open_stream(address) as stream:
        return stream.read()


def read_told(address: str) -> list[str]:
    """The faults of a read that gives all bytes in the end."""
    kinds: list[str] = []
    with streams.open_stream(address, kinds.append) as stream:
        assert stream.read() == DATA
    return kinds


def test_reads_what_is_there(root: pathlib.Path):
    with http_server.serve(root) as url:
        assert read_all(f"{url}file.tar") == DATA
    assert read_all(str(root / "file.tar")) == DATA


def test_a_dropped_connection_resumes_where_it_broke(root: pathlib.Path):
    handler = faulty(1000, 300_000, 1, 70_000)
    with http_server.serve(root, handler=handler) as url:
        assert read_all(f"{url}file.tar") == DATA
    assert handler.requests == [
        None, "bytes=1000-", "bytes=301000-", "bytes=301001-", "bytes=371001-"
    ]  # fmt: skip


def test_a_missing_file_is_not_asked_for_twice(root: pathlib.Path):
    handler = faulty()
    with http_server.serve(root, handler=handler) as url:
        with pytest.raises(streams.Missing, match="404"):
            streams.open_stream(f"{url}other.tar")
        assert not streams.exists(f"{url}other.tar")
        assert streams.exists(f"{url}file.tar")
    assert len(handler.requests) == 3


def test_it_gives_up_without_progress_and_says_where(root: pathlib.Path):
    handler = faulty(5000, *[HTTPStatus.BAD_GATEWAY] * 50)
    given_up = pytest.raises(streams.Unreachable, match=f"502, {streams.ATTEMPTS} times in a row")
    with http_server.serve(root, handler=handler) as url, given_up:
        read_all(f"{url}file.tar")
    assert len(handler.requests) == 1 + streams.ATTEMPTS - 1


def test_small_files_are_bounded(root: pathlib.Path):
    (root / "large").write_bytes(b"x" * (streams.MAX_SMALL + 1))
    with (
        http_server.serve(root) as url,
        pytest.raises(streams.Unreachable, match="expected at most"),
    ):
        streams.read_small(f"{url}large")


def test_a_version_changes_with_the_file(root: pathlib.Path):
    with http_server.serve(root) as url:
        for place in (url, f"{root}/"):
            before = streams.version(f"{place}file.tar")
            assert streams.version(f"{place}file.tar") == before
            (root / "file.tar").write_bytes(DATA[: -len(before)])
            assert streams.version(f"{place}file.tar") != before


class Plain(Faulty):
    """Says neither ETag nor date."""

    def send_header(self, keyword, value):
        if keyword != "ETag":
            super().send_header(keyword, value)


@pytest.mark.parametrize(
    ("base", "then", "said"),
    [
        (Faulty, DATA + b"more", "ETag"),
        (Plain, DATA[:500_000], "500000"),
        (Plain, DATA[:50_000], "no more"),  # than what was read
    ],
)
def test_a_file_that_changes_meanwhile_is_noticed(root, base: type, then: bytes, said: str):
    class Changing(base):
        def send_body(self, file, start, stop):
            super().send_body(file, start, stop)
            (root / "file.tar").write_bytes(then)

    handler = faulty(100_000, base=Changing)
    changed = pytest.raises(streams.Changed, match=said)
    with http_server.serve(root, handler=handler) as url, changed:
        read_all(f"{url}file.tar")


def test_retries_are_told_by_status(root: pathlib.Path):
    handler = faulty(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INSUFFICIENT_STORAGE, 10)
    with http_server.serve(root, handler=handler) as url:
        assert read_told(f"{url}file.tar") == ["429", "507", "dropped"]


def test_a_refusal_is_for_good_but_where_it_is_asked_what_there_is(root: pathlib.Path):
    handler = faulty(*[HTTPStatus.FORBIDDEN] * 2)
    with http_server.serve(root, handler=handler) as url:
        with pytest.raises(streams.Forbidden, match="403"):
            streams.open_stream(f"{url}file.tar")
        assert not streams.exists(f"{url}file.tar")
    assert len(handler.requests) == 2


def redirecting(*targets: str):
    class Redirecting(Faulty):
        def reply(self):
            number = self.path.strip("/")
            if not number.isdigit():
                return super().reply()
            type(self).requests.append(self.path)
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", targets[min(int(number), len(targets) - 1)])
            self.send_header("Content-Length", "0")
            self.end_headers()

    return faulty(base=Redirecting)


def test_redirects_are_followed_and_bounded(root: pathlib.Path):
    with http_server.serve(root, handler=redirecting("/1", "/2", "/3", "/4", "/file.tar")) as url:
        assert read_all(f"{url}0") == DATA
    handler = redirecting("/0")
    too_many = pytest.raises(streams.Unreachable, match="more than 5 redirects")
    with http_server.serve(root, handler=handler) as url, too_many:
        read_all(f"{url}0")
    assert len(handler.requests) == 6


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "gs://a/b"])
def test_redirects_lead_nowhere_but_to_http(root: pathlib.Path, target: str):
    refused = pytest.raises(streams.Unreachable, match="neither http nor https")
    with http_server.serve(root, handler=redirecting(target)) as url, refused:
        read_all(f"{url}0")


@pytest.mark.parametrize("path", ["file:///etc/hostname", "ftp://host/x", "s3://bucket/x"])
@pytest.mark.parametrize("look", [streams.open_stream, streams.exists, streams.version])
def test_other_schemes_are_refused(path: str, look):
    with pytest.raises(streams.Unreachable, match="expected http, https, gs:// or a local path"):
        look(path)


def test_an_error_is_one_line_with_the_url_once(root: pathlib.Path):
    with http_server.serve(root) as url:
        pass
    errors = []
    for bad in (f"{url}x", "http://nowhere.invalid/x", "http://[::1/x", "http:///x"):
        with pytest.raises(streams.Unreachable) as caught:
            streams.open_stream(bad)
        errors.append(str(caught.value))
        assert errors[-1].count(bad) == 1
        assert "\n" not in errors[-1]
        assert "0x" not in errors[-1]
        assert "object" not in errors[-1]
    assert "Connection refused" in errors[0]
    assert "Failed to resolve" in errors[1]


def test_connections_are_used_again(root: pathlib.Path):
    handler = faulty()
    (root / "small").write_bytes(b"x" * 1000)
    with http_server.serve(root, handler=handler) as url:
        for _ in range(5):
            assert streams.read_small(f"{url}small") == b"x" * 1000
    assert len(handler.clients) == 1


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("7", 7.0, 8.0),
        ("0", 0.0, 1.0),
        ("Fri, 21 Oct 2050 07:28:00 GMT", streams.LONGEST_WAIT, streams.LONGEST_WAIT),
        (None, 0.2, 1.0),
    ],
)
def test_retry_after_is_honoured_and_bounded(value, least: float, most: float):
    error = streams.TransientFault("busy", "503", retry_after(value or ""))
    waits = [BACKOFF(state(1, error)) for _ in range(50)]
    assert least <= min(waits) <= max(waits) <= most
    assert len(set(waits)) > 1 or least == most


def test_waits_grow_and_are_bounded():
    error = streams.TransientFault("busy", "503")
    longest = [max(BACKOFF(state(n, error)) for _ in range(200)) for n in range(1, 12)]
    assert longest[0] < longest[2] < longest[4] < longest[-1] <= streams.LONGEST_WAIT


def state(attempt: int, error: Exception) -> tenacity.RetryCallState:
    made = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    made.attempt_number = attempt
    made.set_exception((type(error), error, None))
    return made
