"""Reads the photos of a unit from its source: a tar, single files, or URLs. No Beam."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any

from pipelines.common import paths
from pipelines.common.reasons import Reason
from pipelines.download import url_fetcher
from pipelines.download.options import StagingOptions
from pipelines.download.tar_reader import BadArchive, Md5Stream, Member, read_members
from pipelines.source.unit import BadUnit, RecordParameters, Unit
from pipelines.storage import streams

MD5 = re.compile("[0-9a-fA-F]{32}")

Check = Callable[[], "Digest"]
OnRetry = Callable[[Any], None]  # called with the kind of each fault that is retried


@dataclasses.dataclass(frozen=True)
class Digest:
    """What is known of a tar's md5.

    Attributes:
      md5: of the whole tar; None where there is no tar, or it was not read whole.
      published: another one, that is published; None where there is no other.
    """

    md5: str | None = None
    published: str | None = None


@contextlib.contextmanager
def open_members(
    unit: Unit, parameters: RecordParameters, options: StagingOptions, on_retry: OnRetry
) -> Iterator[tuple[Iterator[Member], Check]]:
    """Opens a unit; yields its members and a check to call after the last of them.

    Args:
      unit: what to read.
      parameters: limits on the number and the size of photos.
      options: how URLs are fetched, and which md5s are accepted.
      on_retry: called with the kind of each fault that is retried.

    Yields:
      An iterator over the members, in the source's order, and a function that returns
      the tar's `Digest`.

    Raises:
      BadUnit: the source is no tar, or its md5 is not the published one.
      Unreachable: the source could not be fetched.
    """
    if unit.urls is not None:
        with contextlib.closing(_fetch_urls(unit, parameters, options, on_retry)) as found:
            yield found, Digest
    elif unit.ids is not None:
        ids = unit.ids[: parameters.limit]
        most = parameters.max_bytes
        yield (_read_photo(unit, image_id, most, on_retry) for image_id in ids), Digest
    else:
        accepted = options.accepted_md5.get(unit.name)
        with _open_tar(unit, parameters, accepted, on_retry) as found_and_check:
            yield found_and_check


def _fetch_urls(
    unit: Unit, parameters: RecordParameters, options: StagingOptions, on_retry: OnRetry
) -> Generator[Member, None, None]:
    assert unit.ids is not None and unit.urls is not None and options.urls is not None
    rows = list(zip(unit.ids, unit.urls, strict=True))[: parameters.limit]
    yield from url_fetcher.fetch_members(rows, options.urls, parameters.max_bytes, on_retry)


def _read_photo(unit: Unit, image_id: str, max_bytes: int, on_retry: OnRetry) -> Member:
    path = paths.join(unit.source, paths.photo(unit.split, image_id))
    try:
        with streams.open_stream(path, on_retry) as stream:
            data = stream.read(max_bytes + 1)
    except streams.Missing:
        return Member(image_id, None, Reason.MISSING, f"{path}: there is no such file")
    except streams.Unreachable as error:
        return Member(image_id, None, Reason.UNREACHABLE, str(error))
    if len(data) > max_bytes:
        return Member(image_id, None, Reason.TOO_LARGE, f"over {max_bytes} bytes")
    return Member(image_id, data)


@contextlib.contextmanager
def _open_tar(
    unit: Unit, parameters: RecordParameters, accepted: str | None, on_retry: OnRetry
) -> Iterator[tuple[Iterator[Member], Check]]:
    expected = _published_md5(unit, on_retry)
    with streams.open_stream(unit.source, on_retry) as stream:
        digest = Md5Stream(stream)
        found = _read_tar(digest, parameters, expected)
        unread = parameters.limit is not None
        yield found, lambda: Digest() if unread else _check_md5(unit, digest, expected, accepted)


def _read_tar(
    digest: Md5Stream, parameters: RecordParameters, expected: str | None
) -> Iterator[Member]:
    """Yields the members up to the limit; raises BadUnit where the tar is broken."""
    try:
        for count, member in enumerate(read_members(digest, parameters.max_bytes), start=1):
            yield member
            if count == parameters.limit:
                return
    except BadArchive as error:
        md5 = f"; published md5 {expected}, found {digest.drain()}" if expected else ""
        raise BadUnit(Reason.BAD_ARCHIVE, f"{error}{md5}") from None


def _published_md5(unit: Unit, on_retry: OnRetry) -> str | None:
    if unit.md5_source is None:
        return None
    try:
        words = streams.read_small(unit.md5_source, on_retry).decode("ascii", "replace").split()
    except streams.Missing:
        return None
    if not words or not MD5.fullmatch(words[0]):
        raise BadUnit(Reason.MD5_MISMATCH, f"{unit.md5_source}: expected 32 hex, found {words[:1]}")
    return words[0].lower()


def _check_md5(
    unit: Unit, digest: Md5Stream, published: str | None, accepted: str | None
) -> Digest:
    found = digest.drain()
    if found in (published, accepted) or published is None:
        return Digest(found, published if published != found else None)
    raise BadUnit(
        Reason.MD5_MISMATCH,
        f"published md5 {published}, found {found}; if the published one is outdated, "
        f"--accept_md5 {unit.name}={found}",
    )
