"""What may be asked for, and that nothing private ever is."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis import strategies

from pipelines.common.reasons import Reason
from pipelines.download import ssrf_guard
from pipelines.download.options import UrlOptions
from pipelines.download.ssrf_guard import UrlRejected

PRIVATE = [
    "127.0.0.1", "127.255.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::",
    "fe80::1", "fe80::1%eth0", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::",
    "2001:0:1::",
]  # fmt: skip
PUBLIC = ["208.80.154.240", "2620:0:861:ed1a::2:b", "::ffff:208.80.154.240", "64:ff9b::d050:9af0"]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(2)
        yield listening


def get(url: str) -> None:
    politeness = UrlOptions(True, "a@b", timeouts=(2, 2, 2))
    ssrf_guard.pool(politeness).request("GET", url, retries=False, redirect=False)


def test_which_addresses_are_public():
    assert [address for address in PRIVATE if ssrf_guard.is_public(address)] == []
    assert [address for address in PUBLIC if not ssrf_guard.is_public(address)] == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "LocalHost.", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1",
        "127.1", "0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    ],
)  # fmt: skip
def test_loopback_is_not_even_connected_to(listener: socket.socket, scheme: str, host: str):
    port = listener.getsockname()[1]
    with pytest.raises(UrlRejected, match="no public address") as refused:
        get(f"{scheme}://{host}:{port}/")
    assert refused.value.reason is Reason.FORBIDDEN_ADDRESS
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_changes_its_address_gets_no_byte(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, scheme: str
):
    port = listener.getsockname()[1]
    answers = ["208.80.154.240", "127.0.0.1"]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (answers.pop(0), port))],
    )
    with pytest.raises(UrlRejected, match=r"photos\.example is at 127\.0\.0\.1"):
        get(f"{scheme}://photos.example:{port}/")
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(2)
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "url",
    [
        "", "photo.jpg", "//example.org/a", "ftp://example.org/a", "file:///etc/passwd", "http://",
        "gs://bucket/a", "data:image/png;base64,AAAA", "http://[::1/", "http://example.org:99999/",
        "http://exa mple.org/", "http://a\0b/", "https://me:secret@example.org/a",
        "http://me@example.org/", "http://me:se/cret@example.org/",
    ],
)  # fmt: skip
def test_bad_urls(url: str):
    with pytest.raises(UrlRejected) as refused:
        ssrf_guard.parse(url)
    assert refused.value.reason is Reason.BAD_URL
    assert "cret" not in refused.value.detail


@hypothesis.given(strategies.text() | strategies.text().map("http://{}".format))
def test_any_text_is_a_url_or_refused(text: str):
    with contextlib.suppress(UrlRejected):
        assert ssrf_guard.parse(text).scheme in ("http", "https")
    assert len(ssrf_guard.redacted(text)) <= ssrf_guard.MAX_SHOWN + 3
    assert ssrf_guard.redacted(text).isprintable()


def test_messages_hold_no_secrets():
    assert ssrf_guard.redacted("https://a.org/b%20c.jpg") == "https://a.org/b%20c.jpg"
    assert ssrf_guard.redacted("https://me:pw@a.org/b?token=abc#d") == "https://a.org/b..."
    assert ssrf_guard.redacted("https://a.org/\x1b[2J") == r"https://a.org/\x1b[2J"


def test_one_level_is_unquoted_and_only_in_the_path():
    assert ssrf_guard.unquote_once("http://a/%25C3%25A9%2525%253Fx?q=%2541") == (
        "http://a/%C3%A9%25%3Fx?q=%2541"
    )
    assert ssrf_guard.unquote_once("http://a/100%25.jpg") == "http://a/100%25.jpg"


def test_own_certificates_are_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path):
    assert ssrf_guard.pool(UrlOptions(True, "a@b")).connection_pool_kw["ca_certs"]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert ssrf_guard.pool(UrlOptions(True, "a@b")).connection_pool_kw["ca_cert_dir"] == str(
        tmp_path
    )
