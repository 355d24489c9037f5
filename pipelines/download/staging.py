"""Stages one unit: turns an archive or a block of photos into TFRecords, facts and rejects."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd

from pipelines.common import schema
from pipelines.common.errors import unequal
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.common.reasons import Reason, Reject
from pipelines.common.schema import REJECTED, STAGED
from pipelines.download import unit_reader
from pipelines.download.options import StagingOptions
from pipelines.download.ordered_map import ordered_map
from pipelines.download.resume import EarlierResults, Result, is_tried_again
from pipelines.download.tar_reader import Member
from pipelines.download.unit_reader import Digest
from pipelines.imaging.normalize import NormalizedPhoto, Unreadable, normalize
from pipelines.source import staged_units
from pipelines.source.unit import BadUnit, RecordParameters, Unit, UnitFailure, UnitSummary
from pipelines.storage import filesystem, parquet, streams, tf_example, tfrecord
from pipelines.storage.hashing import sha256
from pipelines.storage.rejects import jsonl

Count = Callable[[str, float], None]  # (name of a counter, amount to add)


def stage(
    unit: Unit,
    output: Output,
    parameters: RecordParameters,
    staging: StagingOptions,
    count: Count = lambda name, amount: None,
) -> UnitSummary | UnitFailure:
    """Stages a unit unless it is done, and returns the summary that its done.json holds.

    A unit that fails every attempt gets a line in rejects/ and no done.json, so that the next run
    tries it again.

    Args:
      unit: is fetched and staged.
      output: where the unit's files are written.
      parameters: determine the bytes of the output.
      staging: attempts, threads, time-outs and other options without effect on the output.
      count: is called with the retries by kind, and the milliseconds spent on each photo.

    Returns:
      The summary, or a failure where the unit could not be staged.
    """
    before = staged_units.summary(output, unit.name)
    if before and not is_tried_again(before, staging.retry_rejected):
        return before
    details = set()
    for attempt in range(1, staging.attempts + 1):
        try:
            return _stage(unit, output, parameters, staging, count)
        except streams.Missing as error:
            bad = BadUnit(Reason.MISSING, str(error))
            break
        except streams.Unreachable as error:
            bad = BadUnit(Reason.UNREACHABLE, str(error))
        except BadUnit as error:
            bad = BadUnit(error.reason, f"{error.detail} (attempt {attempt} of {staging.attempts})")
            if error.detail in details:  # the same bytes twice: this is what the source has
                break
            details.add(error.detail)
        count(f"retried_{bad.reason}", 1)
    if before:  # the results of the earlier run stay valid
        return before
    reject = Reject("", unit.name, "download", bad.reason, bad.detail)
    filesystem.write(output.rejects(unit.name), jsonl([reject]))
    return UnitFailure(unit.name, unit.split, bad.reason, bad.detail)


def _stage(
    unit: Unit, output: Output, parameters: RecordParameters, staging: StagingOptions, count: Count
) -> UnitSummary:
    rows, rejects = [], []
    offset = 0
    earlier = EarlierResults(unit, output)
    wanted = earlier.remaining()
    on_retry = lambda kind: count(f"retried_{kind}", 1)  # noqa: E731
    with (
        unit_reader.open_members(wanted, parameters, staging, on_retry) as (members, check),
        filesystem.atomic(output.staged(unit.name)) as staged,
    ):
        fresh = _results(wanted, members, parameters.normal, staging.threads, count)
        for result in earlier.merged(fresh):
            row = result.row
            if result.frame is None:
                reason = Reason(row["reason"])
                rejects.append(Reject(row["id"], unit.name, "download", reason, result.detail))
            else:
                staged.write(result.frame)
                row |= {"offset": offset, "length": len(result.frame)}
                offset += len(result.frame)
            rows.append(row)
        checked = check()  # before the file is renamed: nothing of a bad unit becomes visible
        # The files are replaced one by one: the unit is not done until all of them are.
        filesystem.remove(output.done(unit.name))
    facts = parquet.from_rows(rows, schema.FACTS)
    digest = parquet.write(output.facts(unit.name), facts, schema.FACTS)
    filesystem.write(output.rejects(unit.name), jsonl(rejects))
    summary = _summary(unit, facts, digest, checked, parameters)
    filesystem.write_record(output.done(unit.name), summary)
    return summary


def _summary(
    unit: Unit, facts: pd.DataFrame, digest: str, checked: Digest, parameters: RecordParameters
) -> UnitSummary:
    staged = int((facts["status"] == STAGED).sum())
    rejected = facts["reason"].value_counts().to_dict()
    if staged + sum(rejected.values()) != len(facts):
        raise unequal(f"{unit.name}: {len(facts)} images in, {staged} + {rejected} out")
    return UnitSummary(
        unit=unit.name,
        split=unit.split,
        source=unit.source,
        md5=checked.md5,
        published_md5=checked.published,
        images=len(facts),
        staged=staged,
        rejected=rejected,
        bytes=int(facts["bytes"].sum()),
        parameters=parameters,
        facts_sha256=digest,
    )


# ---- results of members ---------------------------------------------------------------------


def _results(
    unit: Unit, members: Iterable[Member], normal: NormalizationConfig, threads: int, count: Count
) -> Iterator[Result]:
    """Yields the results of members in their order; a few at a time are processed in threads."""
    process = functools.partial(_result, unit, normal)
    with ThreadPoolExecutor(threads) as pool:
        for result, milliseconds in ordered_map(pool, threads, process, _unique(members)):
            count("photo_milliseconds", milliseconds)  # here, where Beam's counters work
            yield result


def _unique(members: Iterable[Member]) -> Iterator[Member]:
    seen: set[str] = set()
    for member in members:
        if member.data is not None and member.id in seen:
            member = Member(member.id, None, Reason.REPEATED_ID, "an earlier member has this id")
        seen.add(member.id)
        yield member


def _result(unit: Unit, normal: NormalizationConfig, member: Member) -> tuple[Result, float]:
    """Returns the result of one member, and the milliseconds that it took."""
    started = time.perf_counter()
    row: dict[str, Any] = dict.fromkeys(schema.FACTS)
    row |= {"id": member.id, "split": unit.split, "unit": unit.name}
    if member.data is None:
        result = _rejected(row, member.reason, member.detail)
    else:
        row |= {"sha256": sha256(member.data), "bytes": len(member.data)}
        try:
            result = _staged(row, normalize(member.data, normal))
        except Unreadable as error:
            result = _rejected(row, error.reason, error.detail)
    return result, (time.perf_counter() - started) * 1e3


def _rejected(row: dict[str, Any], reason: Reason | None, detail: str) -> Result:
    return Result(row | {"status": REJECTED, "reason": str(reason)}, None, detail)


def _staged(row: dict[str, Any], photo: NormalizedPhoto) -> Result:
    row |= {"status": STAGED, "width": photo.source_width, "height": photo.source_height}
    hashes = photo.hashes
    row |= {"phash": hashes.phash, "dhash": hashes.dhash, "entropy": hashes.entropy}
    row |= {"fine_0": hashes.fine[0], "fine_1": hashes.fine[1]}
    record = tf_example.encode(
        {
            schema.ENCODED: photo.jpeg,
            schema.IMAGE_ID: row["id"].encode(),
            schema.HEIGHT: photo.height,
            schema.WIDTH: photo.width,
            schema.CHANNELS: 3,
            schema.COLORSPACE: b"RGB",
            schema.FORMAT: b"JPEG",
        }
    )
    return Result(row, tfrecord.frame(record))
