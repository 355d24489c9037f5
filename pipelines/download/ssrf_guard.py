"""Checks URLs, and opens connections that never reach a private network (SSRF)."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import socket
from typing import Any

import urllib3
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from pipelines.common.reasons import Reason, Rejected
from pipelines.download.options import UrlOptions

HOST = re.compile(r"[\w.:\[\]%-]+\Z", re.ASCII)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # IPv6 addresses that stand for IPv4 ones (RFC 6052)
MAX_SHOWN = 200  # characters of a URL in a message


class UrlRejected(Rejected):
    """A URL, or what it leads to, is rejected without another attempt.

    It is no OSError, because urllib3 retries those.
    """


def redacted(url: str) -> str:
    """Returns a URL for messages: short, without user name, password and query (maybe secret)."""
    bare, *more = re.split(r"[?#]", re.sub(r"//.*@", "//", url, flags=re.DOTALL), maxsplit=1)
    text = repr(bare)[1:-1]  # control characters could drive the terminal
    return text[:MAX_SHOWN] + ("..." if more or len(text) > MAX_SHOWN else "")


def parse(url: str) -> Url:
    """Parses a URL with the parser that the connections use.

    Raises:
      UrlRejected: it is malformed, neither http nor https, or holds a user name.
    """
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise UrlRejected(Reason.BAD_URL, f"{redacted(url)}: expected a URL") from None
    if parts.scheme not in ("http", "https"):
        raise UrlRejected(Reason.BAD_URL, f"{redacted(url)}: expected http or https")
    if not HOST.match(parts.host or ""):
        raise UrlRejected(Reason.BAD_URL, f"{redacted(url)}: expected a host's name")
    if parts.auth is not None:
        raise UrlRejected(Reason.BAD_URL, f"{redacted(url)}: expected no user name in it")
    return parts


def unquote_once(url: str) -> str:
    """Returns the URL with one level of percent-encoding less in its path (`%25C3` -> `%C3`).

    Some of GLDv2's URLs were encoded twice.
    """
    path, *query = re.split(r"(?=[?#])", url, maxsplit=1)
    return "".join([re.sub(r"%25(?=[0-9A-Fa-f]{2})", "%", path), *query])


def is_public(address: str) -> bool:
    """Returns whether an IP address is globally routable; looks at IPv4 inside IPv6, too."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.is_site_local:
            return False
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None
        ip = ip.ipv4_mapped or ip.sixtofour or nat64 or ip
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class _GuardedConnection(HTTPConnection):
    """A connection that checks its address before it connects and again before it sends.

    The second check is the guarantee: a name may resolve to another address a moment
    later. The first keeps a URL from probing which private ports are open.
    """

    def __init__(self, *args: Any, trusted: frozenset[str], **kwargs: Any):
        super().__init__(*args, **kwargs)
        host = f"[{self.host}]" if ":" in self.host else self.host
        self._trusted = f"{host}:{self.port}" in trusted

    def _new_conn(self) -> socket.socket:
        # urllib3's hook for subclasses; by the end of connect(), TLS bytes have been sent.
        if self._trusted:
            return super()._new_conn()
        for address in _resolve(self.host, self.port):
            self._check(address)
        connection = super()._new_conn()
        try:
            self._check(connection.getpeername()[0])
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, address: str) -> None:
        if not is_public(address):
            raise UrlRejected(
                Reason.FORBIDDEN_ADDRESS,
                f"{redacted(self.host)} is at {address}, which is no public address",
            )


class _GuardedTlsConnection(_GuardedConnection, HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _GuardedTlsConnection


def pool(options: UrlOptions) -> urllib3.PoolManager:
    """Returns a pool of connections that refuse private addresses.

    It is urllib3's rather than requests': it reads no proxy, .netrc or cookie from the
    environment, and sends a path as it is given. Behind a proxy, the address that is
    checked would be the proxy's.
    """
    connect, read, _ = options.timeouts
    manager = urllib3.PoolManager(
        maxsize=options.threads,
        timeout=urllib3.Timeout(connect=connect, read=read),
        headers={"User-Agent": options.user_agent, "Accept-Encoding": "identity"},
        **_ca_certificates(),
    )
    classes: dict[str, Any] = {
        "http": functools.partial(_Pool, trusted=options.trusted_hosts),
        "https": functools.partial(_TlsPool, trusted=options.trusted_hosts),
    }
    manager.pool_classes_by_scheme = classes
    return manager


def _ca_certificates() -> dict[str, Any]:
    """Returns the CA certificates that requests would use: the environment's, or certifi's."""
    own = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    path = own or DEFAULT_CA_BUNDLE_PATH
    return {"ca_cert_dir" if os.path.isdir(path) else "ca_certs": path}


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label of more than 63 characters
        raise UrlRejected(Reason.BAD_URL, f"{redacted(host)}: expected a host's name") from None
    return [str(address[0]) for *_, address in found]
