"""One unit of the download: an archive or a block of photos becomes TFRecords and facts."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd

from pipelines import example, fetch, files, progress, schema, tables, tfrecord
from pipelines.archive import BadArchive, Digest, Member, members
from pipelines.fingerprint import sha256
from pipelines.images import Normal, Photo, Unreadable, normalise
from pipelines.layout import Output, photo
from pipelines.schema import REJECTED, STAGED, Reason, Reject

THREADS = 2  # decoders; Pillow lets go of the interpreter lock while it decodes
WINDOW = 4 * THREADS  # photos in flight: bounds memory, keeps the order


@dataclasses.dataclass(frozen=True)
class Unit:
    """What is done, or not done, as a whole.

    Attributes:
      name: of its output files; unique over splits.
      split: train or test.
      source: URL or path of a tar, or the root folder of loose photos.
      md5_source: URL or path of the published digest of a tar.
      ids: the loose photos' ids; None for a tar.
    """

    name: str
    split: str
    source: str
    md5_source: str | None = None
    ids: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What the bytes of a unit's output depend on, beside its source.

    Attributes:
      normal: how photos are normalised.
      limit: the first so many images of each unit, or None for all.
      max_bytes: of one source file; a larger one is rejected.
    """

    normal: Normal
    limit: int | None = None
    max_bytes: int = 64 << 20


class BadUnit(ValueError):
    """A unit that was fetched but is not what it should be; another fetch may mend it."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def stage(
    unit: Unit,
    output: Output,
    parameters: Parameters,
    attempts: int,
    progress_folder: str | None = None,
) -> dict[str, Any]:
    """Stages a unit unless it is done; returns its summary, as in its done.json.

    A unit that stays bad gets a line in rejects/ and no done.json, so that the
    next run tries it again; its summary then has `failed`.

    Args:
      unit: what to fetch.
      output: where to write.
      parameters: how.
      attempts: fetches of a unit that does not fit its digest or breaks off.
      progress_folder: where a progress bar looks, if one does.
    """
    if files.exists(output.done(unit.name)):
        return files.read_json(output.done(unit.name))
    for attempt in range(1, attempts + 1):
        try:
            return _stage(unit, output, parameters, progress_folder)
        except fetch.Missing as error:
            bad = BadUnit(Reason.MISSING, str(error))
            break
        except fetch.Unreachable as error:
            bad = BadUnit(Reason.UNREACHABLE, str(error))
        except BadUnit as error:
            bad = BadUnit(error.reason, f"{error.detail} (attempt {attempt} of {attempts})")
    reject = Reject("", unit.name, "download", bad.reason, bad.detail)
    files.write(output.rejects(unit.name), _jsonl([reject]))
    return {"unit": unit.name, "split": unit.split, "failed": bad.reason, "detail": bad.detail}


def _stage(
    unit: Unit, output: Output, parameters: Parameters, progress_folder: str | None
) -> dict[str, Any]:
    rows, rejects = [], []
    offset = 0
    with (
        _source(unit, parameters) as (found, check),
        files.atomic(output.staged(unit.name)) as staged,
    ):
        for member, result in _normalised(found, parameters.normal):
            row, record = _row(unit, member, result, offset)
            rows.append(row)
            progress.add(progress_folder, images=1, MB=(row["bytes"] or 0) / 1e6)
            if record is None:
                detail = result.detail if isinstance(result, Unreadable) else member.detail
                rejects.append(
                    Reject(member.id, unit.name, "download", Reason(row["reason"]), detail)
                )
            else:
                staged.write(record)
                offset += len(record)
        md5 = check()  # before the name is changed: nothing of a bad unit becomes visible
    facts = pd.DataFrame(rows, columns=list(schema.FACTS))
    digest = tables.write(output.facts(unit.name), facts, schema.FACTS)
    files.write(output.rejects(unit.name), _jsonl(rejects))
    summary = _summary(unit, facts, md5, parameters) | {"facts_sha256": digest}
    files.write_json(output.done(unit.name), summary)
    return summary


def _summary(unit: Unit, facts: pd.DataFrame, md5: str | None, parameters: Parameters) -> dict:
    staged = int((facts["status"] == STAGED).sum())
    rejected = facts["reason"].value_counts().to_dict()
    if staged + sum(rejected.values()) != len(facts):
        raise AssertionError(f"{unit.name}: {len(facts)} images in, {staged} + {rejected} out")
    return {
        "unit": unit.name,
        "split": unit.split,
        "source": unit.source,
        "md5": md5,
        "images": len(facts),
        "staged": staged,
        "rejected": rejected,
        "bytes": int(facts["bytes"].sum()),
        "parameters": dataclasses.asdict(parameters),
    }


# ---- where members come from ----------------------------------------------------------------

Check = Callable[[], str | None]


@contextlib.contextmanager
def _source(unit: Unit, parameters: Parameters) -> Iterator[tuple[Iterable[Member], Check]]:
    """The unit's members, and what says after them whether all was right (the md5, if known)."""
    if unit.ids is not None:
        ids = unit.ids[: parameters.limit]
        yield (_loose(unit, image_id, parameters.max_bytes) for image_id in ids), lambda: None
        return
    expected = _published_md5(unit)
    with fetch.open_stream(unit.source) as stream:
        digest = Digest(stream)
        found = _first(members(digest, parameters.max_bytes), parameters.limit)
        unread = parameters.limit is not None
        yield found, lambda: None if unread else _check_md5(digest, expected)


def _first(found: Iterator[Member], limit: int | None) -> Iterator[Member]:
    """At most `limit` members, with what is wrong with the archive as a BadUnit."""
    try:
        for count, member in enumerate(found, start=1):
            yield member
            if count == limit:
                return
    except BadArchive as error:
        raise BadUnit(Reason.BAD_ARCHIVE, str(error)) from None


def _published_md5(unit: Unit) -> str | None:
    if unit.md5_source is None:
        return None
    try:
        words = fetch.read_small(unit.md5_source).decode("ascii", "replace").split()
    except fetch.Missing:
        return None
    if not words or len(words[0]) != 32:
        raise BadUnit(Reason.MD5_MISMATCH, f"{unit.md5_source}: expected 32 hex, found {words[:1]}")
    return words[0].lower()


def _check_md5(digest: Digest, expected: str | None) -> str:
    found = digest.drain()
    if expected not in (None, found):
        raise BadUnit(Reason.MD5_MISMATCH, f"published md5 {expected}, found {found}")
    return found


def _loose(unit: Unit, image_id: str, max_bytes: int) -> Member:
    path = files.join(unit.source, photo(unit.split, image_id))
    try:
        with fetch.open_stream(path) as stream:
            data = stream.read(max_bytes + 1)
    except fetch.Missing:
        return Member(image_id, None, Reason.MISSING, f"{path}: there is no such file")
    if len(data) > max_bytes:
        return Member(image_id, None, Reason.TOO_LARGE, f"over {max_bytes} bytes")
    return Member(image_id, data)


# ---- what becomes of a member ---------------------------------------------------------------


def _normalised(
    found: Iterable[Member], normal: Normal
) -> Iterator[tuple[Member, Photo | Unreadable | None]]:
    """Decodes a few members at a time, in threads, and gives them in the order they came."""

    def work(member: Member) -> Photo | Unreadable | None:
        try:
            return None if member.data is None else normalise(member.data, normal)
        except Unreadable as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        window: collections.deque = collections.deque()
        for member in _unique(found):
            window.append((member, pool.submit(work, member)))
            if len(window) >= WINDOW:
                first, result = window.popleft()
                yield first, result.result()
        for first, result in window:
            yield first, result.result()


def _unique(found: Iterable[Member]) -> Iterator[Member]:
    seen: set[str] = set()
    for member in found:
        if member.data is not None and member.id in seen:
            member = Member(member.id, None, Reason.REPEATED_ID, "an earlier member has this id")
        seen.add(member.id)
        yield member


def _row(
    unit: Unit, member: Member, result: Photo | Unreadable | None, offset: int
) -> tuple[dict[str, Any], bytes | None]:
    """A row of facts, and the staged frame if there is one."""
    row: dict[str, Any] = dict.fromkeys(schema.FACTS)
    row.update(id=member.id, split=unit.split, unit=unit.name, status=REJECTED)
    if member.data is not None:
        row.update(sha256=sha256(member.data), bytes=len(member.data))
    if not isinstance(result, Photo):
        row["reason"] = str(result.reason if result else member.reason)
        return row, None
    record = tfrecord.frame(_example(member.id, result))
    row.update(status=STAGED, offset=offset, length=len(record))
    row.update(width=result.source_width, height=result.source_height)
    row.update(phash=result.hashes.phash, dhash=result.hashes.dhash)
    return row, record


def _example(image_id: str, result: Photo) -> bytes:
    return example.encode(
        {
            schema.ENCODED: result.jpeg,
            schema.IMAGE_ID: image_id.encode(),
            schema.HEIGHT: result.height,
            schema.WIDTH: result.width,
            schema.CHANNELS: 3,
            schema.COLORSPACE: b"RGB",
            schema.FORMAT: b"JPEG",
        }
    )


def _jsonl(rejects: Iterable[Reject]) -> str:
    return "".join(json.dumps(dataclasses.asdict(reject)) + "\n" for reject in rejects)
