"""Streams from a real server that misbehaves."""

from __future__ import annotations

import pathlib
from http import HTTPStatus

import pytest

from pipelines import fetch, server

DATA = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "file.tar").write_bytes(DATA)
    return tmp_path


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch, "_wait", lambda state: 0.0)


class Faulty(server.Handler):
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
    with fetch.open_stream(address) as stream:
        return stream.read()


def test_reads_what_is_there(root: pathlib.Path):
    with server.serve(root) as url:
        assert read_all(f"{url}file.tar") == DATA
    assert read_all(str(root / "file.tar")) == DATA


def test_a_dropped_connection_resumes_where_it_broke(root: pathlib.Path):
    handler = faulty(1000, 300_000, 1, 70_000)
    with server.serve(root, handler=handler) as url:
        assert read_all(f"{url}file.tar") == DATA
    assert handler.requests == [
        None, "bytes=1000-", "bytes=301000-", "bytes=301001-", "bytes=371001-"
    ]  # fmt: skip


def test_passing_statuses_are_tried_again(root: pathlib.Path):
    handler = faulty(HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
    with server.serve(root, handler=handler) as url:
        assert read_all(f"{url}file.tar") == DATA
    assert len(handler.requests) == 3


def test_a_missing_file_is_not_asked_for_twice(root: pathlib.Path):
    handler = faulty()
    with server.serve(root, handler=handler) as url:
        with pytest.raises(fetch.Missing, match="404"):
            fetch.open_stream(f"{url}other.tar")
        assert not fetch.exists(f"{url}other.tar")
        assert fetch.exists(f"{url}file.tar")
    assert len(handler.requests) == 3


def test_it_gives_up_without_progress_and_says_where(root: pathlib.Path):
    handler = faulty(5000, *[HTTPStatus.BAD_GATEWAY] * 50)
    given_up = pytest.raises(fetch.Unreachable, match="502, 6 times in a row")
    with server.serve(root, handler=handler) as url, given_up:
        read_all(f"{url}file.tar")
    assert len(handler.requests) == 1 + fetch.ATTEMPTS - 1


def test_a_server_that_ignores_ranges_is_read_again_from_the_start(root: pathlib.Path):
    class Rangeless(Faulty):
        def span(self, size, etag):
            return None

    handler = faulty(100_000, base=Rangeless)
    with server.serve(root, handler=handler) as url:
        assert read_all(f"{url}file.tar") == DATA


def test_a_file_that_changes_meanwhile_is_noticed(root: pathlib.Path):
    class Changing(Faulty):
        def send_body(self, file, start, stop):
            super().send_body(file, start, stop)
            (root / "file.tar").write_bytes(DATA + b"more")

    handler = faulty(100_000, base=Changing)
    with server.serve(root, handler=handler) as url, pytest.raises(fetch.Changed, match="ETag"):
        read_all(f"{url}file.tar")


def test_small_files_are_bounded(root: pathlib.Path):
    (root / "large").write_bytes(b"x" * (fetch.MAX_SMALL + 1))
    with server.serve(root) as url, pytest.raises(fetch.Unreachable, match="expected at most"):
        fetch.read_small(f"{url}large")


def test_a_version_changes_with_the_file(root: pathlib.Path):
    with server.serve(root) as url:
        for place in (url, f"{root}/"):
            before = fetch.version(f"{place}file.tar")
            assert fetch.version(f"{place}file.tar") == before
            (root / "file.tar").write_bytes(DATA[: -len(before)])
            assert fetch.version(f"{place}file.tar") != before


def test_retry_after_is_honoured_and_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()

    class Outcome:
        def __init__(self, after):
            self.after = after

        def exception(self):
            return fetch._Passing("busy", self.after)

    class State:
        attempt_number = 1
        outcome = None

    State.outcome = Outcome(7.0)
    assert fetch._wait(State) == 7.0
    State.outcome = Outcome(10_000.0)
    assert fetch._wait(State) == fetch.LONGEST_WAIT
    State.outcome = Outcome(None)
    assert 0 < fetch._wait(State) < 2
