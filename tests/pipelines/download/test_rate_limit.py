"""Manners: what is believed of headers, and whose turn it is."""

from __future__ import annotations

import datetime
import pickle
from email.utils import format_datetime

import pytest

from pipelines.common.errors import UserError
from pipelines.download.options import UrlOptions
from pipelines.download.rate_limit import host_throttle, opt_out_directive
from pipelines.storage.http_status import LONGEST_PAUSE, retry_after


@pytest.mark.parametrize("contact", ["", "me", "a@b\r\nX: y", "a@b (c)", "ü@example.org"])
def test_a_contact_is_required(contact: str):
    with pytest.raises(UserError, match="--contact"):
        UrlOptions(True, contact)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_is_more_than_nothing(rate: float):
    with pytest.raises(UserError, match="--requests_per_second"):
        UrlOptions(True, "a@b", requests_per_second=rate)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url_workers": 0},
        {"connections": 0},
        {"attempts": 0},
        {"max_redirects": -1},
        {"timeouts": (1, 0, 1)},
        {"trusted_hosts": frozenset({"mirror"})},
    ],
    ids=str,
)
def test_senseless_values_are_a_users_mistake(wrong: dict):
    with pytest.raises(UserError, match="expected"):
        UrlOptions(True, "a@b", **wrong)


def test_lanes_share_the_limits():
    politeness = UrlOptions(True, "a@b", requests_per_second=8, url_workers=4, connections=8)
    assert (politeness.interval, politeness.threads) == (0.5, 2)
    assert UrlOptions(True, "a@b", url_workers=4, connections=2).threads == 1
    assert pickle.loads(pickle.dumps(politeness)) == politeness


def test_http_and_https_are_one_server():
    assert host_throttle("example.org", None) is host_throttle("Example.org", 443)
    assert host_throttle("example.org", None) is not host_throttle("example.org", 8080)


def test_retry_after():
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    past = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    assert retry_after("7") == 7
    assert retry_after("9" * 400) == LONGEST_PAUSE
    assert 50 < (retry_after(format_datetime(soon)) or 0) <= 60
    assert retry_after(format_datetime(past)) == 0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 -0000") == 0
    for nonsense in ("", "soon", "-5", "²", "1.5", "99 Foo 99999999999 1:2:3"):
        assert retry_after(nonsense) is None, nonsense


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ([], None),
        (["nofollow, max-snippet:5"], None),
        (["googlebot: noindex, noai"], None),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], "noai"),
        (["nofollow", "NoImageAI"], "noimageai"),
        (["googlebot: nofollow", "gld2: noindex"], "noindex"),
        (["googlebot: noindex, *: noimageindex"], "noimageindex"),
    ],
)
def test_opting_out(headers: list[str], wish: str | None):
    assert opt_out_directive(headers) == wish
