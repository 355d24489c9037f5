"""The options of gld2 download: its flags, and how units are staged."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Options, OutputOptions, flag, group
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.source.options import IncompleteOptions, SourceOptions, SplitsOptions
from pipelines.source.unit import RecordParameters

AGENT = "gld2"
ACCEPTED = re.compile(r"[a-z]+-[a-z_]*\d+=[0-9a-f]{32}\Z")
HOST_PORT = re.compile(r"[^/@\s]+:\d{1,5}\Z")


def parse_hosts(text: str) -> frozenset[str]:
    """Returns the `host:port` names of a comma-separated list."""
    return frozenset(filter(None, text.split(",")))


def parse_accepted(text: str) -> tuple[str, ...]:
    """Returns the items of a comma-separated list of `unit=md5`, in lower case.

    Raises:
      ValueError: an item has another form.
    """
    for item in (found := tuple(text.lower().split(","))):
        if not ACCEPTED.match(item):
            raise ValueError(f"expected UNIT=MD5 as train-images_000=<32 hex>, found {item!r}")
    return found


@dataclasses.dataclass(frozen=True)
class FetchOptions(Options):
    """How photos are fetched.

    Attributes:
      max_bytes: of one source file; a larger one is rejected.
      attempts: fetches of a tar that breaks off or whose md5 is wrong.
      threads: decoding threads in each worker process; None shares this machine's cores.
      accept_md5: `unit=md5` of tars whose published md5 is outdated.
    """

    max_bytes: int = flag(
        RecordParameters.max_bytes, "reject a source file that is larger", least=1
    )
    attempts: int = flag(
        3, "fetches of a tar that fails or whose md5 is wrong before it is given up", least=1
    )
    threads: int | None = flag(
        None,
        "decoding threads in each worker process (default: the cores of this machine, divided by "
        "--direct_num_workers)",
        least=1,
    )
    accept_md5: tuple[str, ...] = flag(
        (),
        "take these tars though another md5 is published, as for one whose published md5 is "
        "outdated; their done.json keeps both",
        metavar="train-images_000=MD5",
        parse=parse_accepted,
    )


@dataclasses.dataclass(frozen=True)
class UrlOptions(Options):
    """How single photos are fetched from their URLs. Picklable: Beam sends it to workers.

    The defaults follow Wikimedia, where most of GLDv2's photos are: its robot policy wants
    a User-Agent with a contact, at most 2 requests in flight and 25 Mbit/s.

    Attributes:
      from_urls: whether photos are fetched from their URLs at all.
      contact: an e-mail address or a web page where a server's owner can complain.
      requests_per_second: to each host, over all workers together.
      url_workers: processes that share the limits equally.
      trusted_hosts: `host:port` names that may have a private address.
      retry_rejected: whether finished units retry photos with a transient reject reason.
      connections: requests in flight, over all workers; each worker has at least one.
      attempts: at one URL before a transient fault is taken as permanent.
      timeouts: seconds to connect, between two bytes, and for one whole file.
      max_redirects: followed from one URL.
    """

    from_urls: bool = flag(False, "fetch train from the url column of train.csv, not from tars")
    contact: str = flag(
        "",
        "an e-mail address or web page that goes into the User-Agent; required with --from_urls, "
        "so that a server's owner can write to you instead of blocking you",
    )
    requests_per_second: float = flag(2.0, "limit for each host, over all workers together")
    url_workers: int = flag(
        1,
        "worker processes that share that limit; Wikimedia allows two requests at a time",
        least=1,
        old_names=["lanes"],
    )
    trusted_hosts: frozenset[str] = flag(
        frozenset(),
        "hosts that may have a private address, such as a mirror of your own; URLs of other hosts "
        "with private addresses are rejected",
        metavar="HOST:PORT,...",
        parse=parse_hosts,
        shown="",
    )
    retry_rejected: bool = flag(
        False, "in finished units, retry the photos that were rejected for a transient reason"
    )
    connections: int = 2
    attempts: int = 6
    timeouts: tuple[float, float, float] = (10.0, 60.0, 600.0)
    max_redirects: int = 5

    def __post_init__(self) -> None:
        """Raises UserError for values out of range."""
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
        """Returns the User-Agent header, with the contact in it."""
        return f"{AGENT}/0.1 (landmark dataset preparation; {self.contact})"

    @property
    def interval(self) -> float:
        """Returns the seconds between two of this worker's requests to the same host."""
        return self.url_workers / self.requests_per_second

    @property
    def threads(self) -> int:
        """Returns how many requests this worker may have in flight."""
        return max(1, self.connections // self.url_workers)

    def _check_contact(self) -> None:
        reachable = "@" in self.contact or self.contact.startswith(("http://", "https://"))
        # It goes into a comment of a header: no line breaks, no parentheses.
        plain = self.contact.isascii() and self.contact.isprintable()
        if not (reachable and plain) or set("()") & set(self.contact):
            raise UserError(
                "--contact: expected an e-mail address or an http(s) URL, which is sent to servers "
                f"so that their owners can reach you, found {self.contact!r}"
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
    incomplete: IncompleteOptions = group()

    def __post_init__(self) -> None:
        """Raises UserError for flags that exclude each other."""
        super().__post_init__()
        if self.urls.from_urls and self.source.archives:
            raise UserError("--archives selects tars, but --from_urls reads none; use only one")

    @property
    def records(self) -> RecordParameters:
        """Returns the options that the bytes of staged records depend on."""
        return RecordParameters(self.photos, self.source.limit, self.fetch.max_bytes)


@dataclasses.dataclass(frozen=True)
class StagingOptions:
    """How a unit is staged; no byte of the output depends on it.

    Attributes:
      attempts: fetches of a tar that breaks off or whose md5 is wrong.
      threads: decoding threads in each worker process.
      urls: how photos are fetched from their URLs, or None where they are not.
      retry_rejected: whether finished units retry photos with a transient reject reason.
      accepted_md5: by unit, the md5 of a tar that is right though another is published.
    """

    attempts: int = 3
    threads: int = 1
    urls: UrlOptions | None = None
    retry_rejected: bool = False
    accepted_md5: Mapping[str, str] = dataclasses.field(default_factory=dict)
