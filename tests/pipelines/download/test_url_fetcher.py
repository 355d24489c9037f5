"""Photos behind URLs of a real server that is slow, busy, rude and broken."""

from __future__ import annotations

import collections
import pathlib
import random
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
import tenacity

from pipelines.common.reasons import Reason
from pipelines.download import ordered_map, url_fetcher
from pipelines.download.options import UrlOptions
from pipelines.download.tar_reader import Member
from pipelines.sample import http_server

PHOTO = bytes(range(256)) * 40
MAX_BYTES = 20_000


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(url_fetcher, "BACKOFF", tenacity.wait_none())


class Site(http_server.Handler):
    """The first folder of a path names how it is answered; all requests are noted."""

    asked: list[tuple[float, str]]  # monotonic seconds, path
    agents: set[str | None]
    clients: set[tuple]
    fuzz: dict[str, bytes]
    meeting: threading.Barrier

    def reply(self):
        self.asked.append((time.monotonic(), self.path))
        self.agents.add(self.headers.get("User-Agent"))
        self.clients.add(self.client_address)
        kind = self.path.split("/")[1].partition("?")[0]
        getattr(self, f"on_{kind}", lambda: self.answer(404))()

    def answer(self, status: int = 200, body: bytes = PHOTO, **headers: str):
        self.send_response(status)
        headers = {"Content_Length": str(len(body)), "Content_Type": "image/jpeg"} | headers
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def first_time(self) -> bool:
        return [path for _, path in self.asked].count(self.path) == 1

    def on_ok(self):
        self.answer(body=self.path.encode())

    def on_slow(self):
        time.sleep(0.25)
        self.on_ok()

    def on_meet(self):
        self.meeting.wait(timeout=5)  # for three others
        self.on_ok()

    def on_stall(self):
        time.sleep(1.5)
        self.close_connection = True

    def on_drop(self):
        if not self.first_time():
            return self.answer()
        self.close_connection = True
        self.answer(body=PHOTO[:1000], Content_Length=str(len(PHOTO)))

    def on_trickle(self):
        self.close_connection = True
        self.answer(body=b"", Content_Length=str(len(PHOTO)))
        for _ in range(30):
            self.wfile.write(b"x")
            time.sleep(0.1)

    def on_flaky(self):
        self.answer(500 + int(self.path.split("/")[2])) if self.first_time() else self.answer()

    def on_busy(self):
        self.answer(429, Retry_After="1") if self.first_time() else self.answer()

    def on_closed(self):
        self.answer(503, Retry_After="100000")

    def on_status(self):
        self.answer(int(self.path.split("/")[2]))

    def on_spelling(self):
        self.answer() if self.path == "/spelling/%C3%A9.jpg" else self.answer(404)

    def on_moved(self):
        left = int(self.path.split("/")[2])
        self.answer(302, Location=f"/moved/{left - 1}" if left else "../ok/there", body=b"moved")

    def on_to(self):
        self.answer(301, Location=urllib.parse.unquote(self.path.partition("?")[2]))

    def on_robots(self):
        self.answer(X_Robots_Tag=self.path.partition("?")[2].replace("_", " "))

    def on_html(self):
        self.answer(body=b"<html>sorry</html>", Content_Type="Text/HTML; charset=utf-8")

    def on_large(self):
        self.close_connection = True
        self.answer(body=b"", Content_Length=str(MAX_BYTES + 1))

    def on_chunked(self):
        self.answer(body=b"", Content_Length="", Transfer_Encoding="chunked")
        for _ in range(int(self.path.split("/")[2])):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(PHOTO), PHOTO))
        self.wfile.write(b"0\r\n\r\n")

    def on_fuzz(self):
        self.close_connection = True
        self.wfile.write(self.fuzz[self.path])


Web = collections.namedtuple("Web", "url site host")


@pytest.fixture
def web(tmp_path: pathlib.Path) -> Iterator[Web]:
    fresh: dict[str, Any] = {"asked": [], "agents": set(), "clients": set(), "fuzz": {}}
    site = type("Site", (Site,), fresh | {"meeting": threading.Barrier(4)})
    with http_server.serve(tmp_path, handler=site) as url:
        yield Web(url, site, url.split("/")[2])


def polite(web: Web, **changes) -> UrlOptions:
    usual: dict[str, Any] = {
        "from_urls": True,
        "contact": "crawl@example.org",
        "requests_per_second": 1e5,
        "connections": 4,
        "attempts": 3,
        "timeouts": (2, 1, 5),
        "trusted_hosts": frozenset({web.host}),
    }
    return UrlOptions(**usual | changes)


def get(web: Web, *paths: str, on_retry=lambda fault: None, **changes) -> list[Member]:
    rows = [(f"{number:016x}", web.url + path) for number, path in enumerate(paths)]
    found = list(url_fetcher.fetch_members(rows, polite(web, **changes), MAX_BYTES, on_retry))
    assert [member.id for member in found] == [image_id for image_id, _ in rows]
    for member in found:
        assert (member.data is None) == (member.reason is not None)
        assert len(member.detail) < 500
    return found


def reasons(found: list[Member]) -> list[Reason | None]:
    return [member.reason for member in found]


def test_the_order_is_kept(web: Web):
    paths = [f"slow/{n}" if n % 4 == 0 else f"ok/{n}" for n in range(24)]
    found = get(web, *paths)
    assert [member.data for member in found] == [f"/{path}".encode() for path in paths]
    assert web.site.agents == {"gld2/0.1 (landmark dataset preparation; crawl@example.org)"}
    assert len(web.site.clients) <= 4  # connections are kept


def test_several_are_asked_for_at_once(web: Web):
    paths = [f"meet/{n}" for n in range(8)]
    assert reasons(get(web, *paths, timeouts=(5, 10, 20), attempts=1)) == [None] * 8


@pytest.mark.parametrize(("rate", "lanes", "count"), [(25, 1, 11), (40, 4, 5)])
def test_requests_to_a_host_are_spaced(web: Web, rate: int, lanes: int, count: int):
    paths = [f"ok/{n}" for n in range(count)]
    get(web, *paths, requests_per_second=rate, url_workers=lanes, connections=4 * lanes)
    times = [when for when, _ in web.site.asked]
    assert max(times) - min(times) >= (count - 1) * lanes / rate * 0.9


def test_retry_after_holds_the_whole_host(web: Web):
    retries: list = []
    found = get(web, "busy/0", "slow/1", "ok/2", "ok/3", connections=2, on_retry=retries.append)
    assert reasons(found) == [None] * 4
    assert retries == [429]
    (busy, _), *later = [(when, path) for when, path in web.site.asked if path != "/slow/1"]
    assert len(later) == 3
    assert min(when for when, _ in later) - busy >= 0.9


def test_a_long_pause_can_be_left(web: Web):
    rows = [("0" * 16, f"{web.url}ok/0"), ("1" * 16, f"{web.url}closed/1")]
    found = url_fetcher.fetch_members(rows, polite(web), MAX_BYTES)
    assert next(found).data == b"/ok/0"
    started = time.monotonic()
    found.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 5


def test_passing_faults_are_tried_again(web: Web):
    retries: list = []
    paths = ["flaky/0", "flaky/2", "flaky/3", "flaky/4", "drop/1", "ok/1"]
    assert reasons(get(web, *paths, on_retry=retries.append)) == [None] * 6
    assert retries == [500, 502, 503, 504, "connection"]


def test_it_gives_up_and_says_why(web: Web):
    found = get(web, "status/500", "status/408", "stall/1")
    assert reasons(found) == [Reason.UNREACHABLE] * 3
    assert "HTTP status 500, the last of 3 attempts" in found[0].detail
    assert "timed out" in found[2].detail
    assert len(web.site.asked) == 9


def test_a_trickle_is_given_up(web: Web):
    (member,) = get(web, "trickle/1", attempts=1, timeouts=(2, 1, 0.3))
    assert member.reason is Reason.UNREACHABLE
    came = re.search(r"(\d+) bytes came in 0\.3 s", member.detail)
    assert came
    assert int(came[1]) < 30


def test_what_is_not_there_is_asked_for_once(web: Web):
    found = get(web, "status/404", "status/410", "status/403", "status/204")
    assert reasons(found) == [Reason.NOT_FOUND] * 2 + [Reason.UNREACHABLE] * 2
    assert len(web.site.asked) == 4


def test_doubly_encoded_paths(web: Web):
    found = get(web, "spelling/%25C3%25A9.jpg", "spelling/%C3%A9.jpg", "none/%2541")
    assert reasons(found) == [None, None, Reason.NOT_FOUND]
    assert sorted(path for _, path in web.site.asked) == [
        "/none/%2541", "/none/%41", "/spelling/%25C3%25A9.jpg", "/spelling/%C3%A9.jpg",
        "/spelling/%C3%A9.jpg",
    ]  # fmt: skip


def test_redirects_are_followed_and_bounded(web: Web):
    found = get(web, "moved/4", "moved/5", "moved/999", "to?/to?/ok/x", "to", max_redirects=5)
    assert reasons(found) == [None, *[Reason.BAD_URL] * 2, None, Reason.BAD_URL]
    assert found[0].data == b"/ok/there"
    assert "more than 5 redirects" in found[2].detail


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://127.0.0.2:{port}/ok/1", Reason.FORBIDDEN_ADDRESS),
        ("//localhost:{port}/ok/1", Reason.FORBIDDEN_ADDRESS),
        ("http://169.254.169.254/latest/meta-data/", Reason.FORBIDDEN_ADDRESS),
        ("http://[::ffff:10.0.0.1]/", Reason.FORBIDDEN_ADDRESS),
        ("file:///etc/passwd", Reason.BAD_URL),
        ("http://me:secret@127.0.0.1:{port}/ok/1", Reason.BAD_URL),
        ("http://[", Reason.BAD_URL),
    ],
)
def test_redirects_lead_nowhere_else(web: Web, target: str, reason: Reason):
    (member,) = get(web, "to?" + target.format(port=web.host.split(":")[1]))
    assert member.reason is reason
    assert "secret" not in member.detail
    assert len(web.site.asked) == 1


def test_nothing_private_by_default(web: Web):
    found = get(web, "ok/1", trusted_hosts=frozenset())
    assert reasons(found) == [Reason.FORBIDDEN_ADDRESS]
    assert web.site.asked == []


def test_proxies_of_the_environment_are_not_asked(web: Web, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert reasons(get(web, "ok/1")) == [None]


def test_sizes_are_bounded(web: Web):
    found = get(web, "large/1", "chunked/1", "chunked/1000", "status/200")
    assert reasons(found) == [Reason.TOO_LARGE, None, Reason.TOO_LARGE, None]
    assert found[1].data == PHOTO


def test_who_opted_out_is_left_alone(web: Web):
    tags = ["noai", "all,_noimageai", "gld2:_noindex", "otherbot:_noindex", "nofollow"]
    found = get(web, *[f"robots?{tag}" for tag in tags])
    assert reasons(found) == [Reason.OPTED_OUT] * 3 + [None] * 2


def test_a_page_is_no_photo(web: Web):
    (member,) = get(web, "html/sorry.jpg?token=abc")
    assert member.reason is Reason.NOT_AN_IMAGE
    assert "found an HTML page" in member.detail
    assert "abc" not in member.detail


def test_garbled_answers_are_each_accounted_for(web: Web):
    chance = random.Random(0)
    whole = [
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 5\r\n\r\nphoto",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nphoto\r\n0\r\n\r\n",
        b"HTTP/1.1 429 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
    ]
    for number in range(300):
        answer = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(answer))
            answer[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        web.site.fuzz[f"/fuzz/{number}"] = bytes(answer)
    paths = [path[1:] for path in web.site.fuzz]
    assert set(reasons(get(web, *paths, attempts=1))) == {None, Reason.UNREACHABLE}


def test_rows_are_read_only_a_little_ahead(web: Web):
    read: list[int] = []

    def rows():
        for number in range(1000):
            read.append(number)
            yield f"{number:016x}", f"{web.url}ok/{number}"

    found = url_fetcher.fetch_members(rows(), polite(web), MAX_BYTES)
    next(found)
    assert len(read) <= ordered_map.WINDOW * 4
    found.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("crawl")]
