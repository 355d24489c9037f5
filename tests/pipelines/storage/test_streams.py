"""Streams from a real server that misbehaves."""

from __future__ import annotations

import pathlib
import time
from http import HTTPStatus

import pytest
import tenacity

from pipelines.sample import http_server
from pipelines.storage import streams
from pipelines.storage.http_status import retry_after
from tests.pipelines.download.faults import reset

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
    faults: list

    def reply(self):
        type(self).requests.append(self.headers.get("Range"))
        if self.faults and isinstance(self.faults[0], HTTPStatus):
            return self.send_error(type(self).faults.pop(0))
        return super().reply()

    def send_body(self, file, start, stop):
        if self.faults:
            stop = start + type(self).faults.pop(0)
            self.close_connection = True
        super().send_body(file, start, stop)


def faulty(*faults, base=Faulty):
    return type("Handler", (base,), {"requests": [], "faults": list(faults)})


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


def test_passing_statuses_are_tried_again(root: pathlib.Path):
    handler = faulty(HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
    with http_server.serve(root, handler=handler) as url:
        assert read_all(f"{url}file.tar") == DATA
    assert len(handler.requests) == 3


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


def test_a_server_that_ignores_ranges_is_read_again_from_the_start(root: pathlib.Path):
    class Rangeless(Faulty):
        def span(self, size, etag):
            return None

    handler = faulty(100_000, base=Rangeless)
    with http_server.serve(root, handler=handler) as url:
        assert read_all(f"{url}file.tar") == DATA


def test_a_file_that_changes_meanwhile_is_noticed(root: pathlib.Path):
    class Changing(Faulty):
        def send_body(self, file, start, stop):
            super().send_body(file, start, stop)
            (root / "file.tar").write_bytes(DATA + b"more")

    handler = faulty(100_000, base=Changing)
    with (
        http_server.serve(root, handler=handler) as url,
        pytest.raises(streams.Changed, match="ETag"),
    ):
        read_all(f"{url}file.tar")


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


def test_a_change_of_size_is_noticed_without_an_etag(root: pathlib.Path):
    class Changing(Plain):
        def send_body(self, file, start, stop):
            super().send_body(file, start, stop)
            (root / "file.tar").write_bytes(DATA[:500_000])

    handler = faulty(100_000, base=Changing)
    with (
        http_server.serve(root, handler=handler) as url,
        pytest.raises(streams.Changed, match="500000"),
    ):
        read_all(f"{url}file.tar")


def test_a_file_that_became_shorter_than_what_was_read_is_noticed(root: pathlib.Path):
    class Shrinking(Plain):
        def send_body(self, file, start, stop):
            super().send_body(file, start, stop)
            (root / "file.tar").write_bytes(DATA[:50_000])

    handler = faulty(100_000, base=Shrinking)
    with (
        http_server.serve(root, handler=handler) as url,
        pytest.raises(streams.Changed, match="no more"),
    ):
        read_all(f"{url}file.tar")


def test_an_answer_with_another_range_is_not_taken(root: pathlib.Path):
    class Elsewhere(Faulty):
        def span(self, size, etag):
            found = super().span(size, etag)
            if found and len(self.requests) == 2:
                return found[0] - 7, found[1]
            return found

    handler = faulty(100_000, base=Elsewhere)
    with http_server.serve(root, handler=handler) as url:
        assert read_told(f"{url}file.tar") == ["dropped", "wrong_range"]


def test_an_answer_with_less_than_the_range_is_asked_on(root: pathlib.Path):
    class Short(Faulty):
        def span(self, size, etag):
            found = super().span(size, etag)
            return (found[0], min(found[0] + 300_000, size)) if found else None

    handler = faulty(100_000, base=Short)
    with http_server.serve(root, handler=handler) as url:
        assert read_all(f"{url}file.tar") == DATA
    assert handler.requests[1:] == [f"bytes={n}00000-" for n in (1, 4, 7, 10)]


def test_bytes_before_a_reset_are_kept(root: pathlib.Path):
    class Resetting(Faulty):
        def send_body(self, file, start, stop):
            super().send_body(file, start, min(stop, start + 30_000))
            if start + 30_000 < stop:
                time.sleep(0.01)  # so that they arrive before the reset
                reset(self.connection)

    handler = faulty(base=Resetting)
    with http_server.serve(root, handler=handler) as url:
        assert set(read_told(f"{url}file.tar")) == {"dropped"}


def test_a_stall_times_out_and_resumes(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    class Stalling(Faulty):
        def send_body(self, file, start, stop):
            if start:
                return super().send_body(file, start, stop)
            http_server.Handler.send_body(self, file, 0, 1000)
            self.connection.recv(1)  # until the client hangs up
            self.close_connection = True

    monkeypatch.setattr(streams, "TIMEOUT", (5.0, 0.2))
    with http_server.serve(root, handler=faulty(base=Stalling)) as url:
        assert read_told(f"{url}file.tar") == ["timeout"]


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
    class Counting(Faulty):
        def setup(self):
            type(self).faults.append(self.client_address)
            super().setup()

        def reply(self):
            http_server.Handler.reply(self)

        def send_body(self, file, start, stop):
            http_server.Handler.send_body(self, file, start, stop)

    handler = faulty(base=Counting)
    (root / "small").write_bytes(b"x" * 1000)
    with http_server.serve(root, handler=handler) as url:
        for _ in range(5):
            assert streams.read_small(f"{url}small") == b"x" * 1000
    assert len(handler.faults) == 1


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("7", 7.0, 8.0),
        ("0", 0.0, 1.0),
        ("999999999999999", streams.LONGEST_WAIT, streams.LONGEST_WAIT),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0, 1.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0, 1.0),
        ("Fri, 21 Oct 2050 07:28:00 GMT", streams.LONGEST_WAIT, streams.LONGEST_WAIT),
        (None, 0.2, 1.0),
        ("soon", 0.2, 1.0),
        ("-5", 0.2, 1.0),
        ("\u00b2", 0.2, 1.0),
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
