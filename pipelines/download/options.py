"""The flags of gld2 download, and how a unit is worked on."""

from __future__ import annotations

import dataclasses
import math
import re

from pipelines.common.errors import UserError
from pipelines.common.options import Options, OutputOptions, flag, group
from pipelines.imaging.config import NormalizationConfig
from pipelines.source.options import SourceOptions, SplitsOptions
from pipelines.source.unit import RecordParameters

AGENT = "gld2"
HOST_PORT = re.compile(r"[^/@\s]+:\d{1,5}\Z")


def parse_hosts(text: str) -> frozenset[str]:
    """Returns the `host:port` that a text lists."""
    return frozenset(filter(None, text.split(",")))


@dataclasses.dataclass(frozen=True)
class FetchOptions(Options):
    """How photos are fetched."""

    max_bytes: int = flag(
        RecordParameters.max_bytes, "reject a source file that is larger", least=1
    )
    attempts: int = flag(3, "fetches of a tar whose md5 is wrong before it is given up", least=1)
    threads: int | None = flag(
        None,
        "that decode, in each worker process (default: the cores of this machine, divided by "
        "--direct_num_workers)",
        least=1,
    )


@dataclasses.dataclass(frozen=True)
class UrlOptions(Options):
    """How other people's servers are asked for single photos. Picklable: it travels to workers.

    The defaults are Wikimedia's, where most of GLDv2's photos lie: its robot policy wants a
    User-Agent with a contact, at most 2 requests in flight and 25 Mbit/s.

    Attributes:
      from_urls: whether they are asked at all.
      contact: an e-mail address or a web page where the server's owner can complain.
      requests_per_second: to each host, over all workers together.
      url_workers: processes that share the limits; each takes its part of them.
      trusted_hosts: names as `host:port` that may have a private address.
      retry_rejected: try again what a finished unit rejected for a reason that may pass.
      connections: requests in flight, over all workers; each has at least one.
      attempts: tries of one URL before a fault that might pass is taken as lasting.
      timeouts: seconds to connect, between two bytes, and for one whole file.
      max_redirects: from one URL.
    """

    from_urls: bool = flag(False, "fetch train from the url column of train.csv, not from tars")
    contact: str = flag(
        "",
        "an e-mail address or web page that goes into the User-Agent; required with --from_urls, "
        "so that a server's owner can complain before it bans you",
    )
    requests_per_second: float = flag(2.0, "to each host, over all workers together")
    url_workers: int = flag(
        1,
        "worker processes that share that limit; Wikimedia wants at most two requests at a time",
        least=1,
        old_names=["lanes"],
    )
    trusted_hosts: frozenset[str] = flag(
        frozenset(),
        "hosts that may have a private address, such as a mirror of your own; all others with one "
        "are refused",
        metavar="HOST:PORT,...",
        parse=parse_hosts,
        shown="",
    )
    retry_rejected: bool = flag(
        False, "try again, in units that are done, what was rejected for a reason that may pass"
    )
    connections: int = 2
    attempts: int = 6
    timeouts: tuple[float, float, float] = (10.0, 60.0, 600.0)
    max_redirects: int = 5

    def __post_init__(self) -> None:
        """Raises UserError for what makes no sense."""
        super().__post_init__()
        if not self.from_urls:
            return
        self._check_contact()
        if not (self.requests_per_second > 0 and math.isfinite(self.requests_per_second)):
            found = self.requests_per_second
            raise UserError(f"--requests_per_second: expected more than 0, found {found}")
        for name in ("connections", "attempts"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if self.max_redirects < 0 or not min(self.timeouts) > 0:
            raise UserError("expected max_redirects of at least 0 and timeouts of more than 0")
        for host in self.trusted_hosts:
            if not HOST_PORT.match(host):
                raise UserError(f"--trusted_hosts: expected host:port, found {host!r}")

    @property
    def user_agent(self) -> str:
        """The header that names us and the contact."""
        return f"{AGENT}/0.1 (landmark dataset preparation; {self.contact})"

    @property
    def interval(self) -> float:
        """Seconds between the starts of two of this worker's requests to a host."""
        return self.url_workers / self.requests_per_second

    @property
    def threads(self) -> int:
        """Requests that this worker may have in flight."""
        return max(1, self.connections // self.url_workers)

    def _check_contact(self) -> None:
        reachable = "@" in self.contact or self.contact.startswith(("http://", "https://"))
        # It becomes a header, and a comment in it: no line breaks, no brackets.
        plain = self.contact.isascii() and self.contact.isprintable()
        if not (reachable and plain) or set("()") & set(self.contact):
            raise UserError(
                "--contact: expected an e-mail address or an http(s) URL, which servers "
                f"are told so that their owners can reach you, found {self.contact!r}"
            )


@dataclasses.dataclass(frozen=True)
class DownloadOptions(Options):
    """The flags of gld2 download."""

    source: SourceOptions = group("source")
    splits: SplitsOptions = group()
    output: OutputOptions = group()
    fetch: FetchOptions = group("fetch")
    urls: UrlOptions = group("URLs")
    photos: NormalizationConfig = group("photos")

    def __post_init__(self) -> None:
        """Raises UserError for flags that exclude each other."""
        super().__post_init__()
        if self.urls.from_urls and self.source.archives:
            raise UserError("--archives: expected tars, but --from_urls takes none")

    @property
    def records(self) -> RecordParameters:
        """What the bytes of staged records depend on."""
        return RecordParameters(self.photos, self.source.limit, self.fetch.max_bytes)


@dataclasses.dataclass(frozen=True)
class StagingOptions:
    """How a unit is worked on; no byte of the output depends on it.

    Attributes:
      attempts: fetches of a tar that breaks off or does not fit its digest.
      threads: that decode, in each worker process.
      urls: how servers are asked for single photos; None asks none.
      retry_rejected: try again what a finished unit rejected for a reason that may pass.
      progress: the folder where a progress bar looks, if one does.
    """

    attempts: int = 3
    threads: int = 1
    urls: UrlOptions | None = None
    retry_rejected: bool = False
    progress: str | None = None
