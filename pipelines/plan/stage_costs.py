"""Computes the cost of each stage from counts, a calibration and a table of rates. No Beam.

The arithmetic is simple enough to be checked by hand.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from pipelines.curate.near_duplicates.multi_index_hashing import BYTES, PHOTO
from pipelines.plan.calibration import Calibration
from pipelines.shard.options import ShardOptions

HOUR = 3600
GB = 1e9
SHARD = ShardOptions.shard_size_mb * 1e6  # bytes
PARTITION = 100_000  # rows; as in runner/partition
# Bytes of a row when it is shuffled, in columns of Arrow.
JOINED = 180  # facts without hashes and entropy: id, split, unit, offset, status, sha256, size
LISTED = 30  # id and landmark of a metadata CSV
COMPARED = 90  # id, split, sha256
LEARNT = 45  # id, landmark, reason, label
KEPT = 60  # id, split, label, landmark
PLACED = 110  # the location of a kept photo, and its position in the order
HASHES = 2
UNIT_FILES = 4  # files of a unit: photos, facts, rejects, done
WRITES = 3  # class A requests of a file that is written and renamed: write, copy, remove
PART_FILES = 4  # files of a partition: pairs of two hashes, decisions, and one for all others
MAX_WORKERS = 1000


@dataclasses.dataclass(frozen=True)
class SplitCounts:
    """The counts of one split of a source.

    Attributes:
      images: number of photos.
      units: number of archives, or of blocks of loose photos; one process works on one at a time.
      bytes: to fetch; None where that is not known and estimated from the calibration.
    """

    images: int
    units: int
    bytes: int | None


PUBLISHED = {
    "train": SplitCounts(4_132_914, 500, 500_000_000_000),
    "index": SplitCounts(761_757, 100, 85_000_000_000),
    "test": SplitCounts(117_577, 20, 10_000_000_000),
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """The cost of one stage of the pipelines for all photos.

    Attributes:
      name: of the command.
      core_hours: of a core of the machine that was calibrated.
      gb_in, gb_out: gigabytes that are read and written.
      shuffle_gb: gigabytes that are shuffled between workers.
      class_a, class_b: requests to Cloud Storage that write, and that read.
      units: number of pieces of work; a piece is done by one process, so that more processes
        than units do not help.
      unit_hours: the least time of a piece, however fast the processor.
      jobs: number of Beam jobs.
    """

    name: str
    core_hours: float
    gb_in: float
    gb_out: float
    shuffle_gb: float
    class_a: float
    class_b: float
    units: int
    unit_hours: float
    jobs: int


def stages(
    splits: Mapping[str, SplitCounts],
    calibration: Calibration,
    gmacs: float,
    rates: Mapping[str, float],
) -> list[Stage]:
    """Returns the cost of each stage in order; the last one scores the test photos.

    Args:
      splits: counts of the source.
      calibration: the cost of a photo.
      gmacs: multiply-adds of the network for a photo, in 10^9.
      rates: prices and assumptions.
    """
    return [
        _download(splits, calibration, rates),
        _curate(splits, calibration, rates),
        _shard(splits, calibration, rates),
        _score(splits, calibration, gmacs, rates),
    ]


def fetched_bytes(split: SplitCounts, calibration: Calibration) -> float:
    """Returns the bytes to fetch, estimated from the calibration where the source tells none."""
    return calibration.source_bytes * split.images if split.bytes is None else split.bytes


def _stage_seconds(fetched: float, calibration: Calibration) -> float:
    """Returns core seconds; photos of twice the bytes have about twice the pixels to decode."""
    return fetched / calibration.source_bytes * calibration.stage_ms / 1000


def _connection_hours(fetched: float, rates: Mapping[str, float]) -> float:
    """Returns the hours in which one process fetches so many bytes."""
    return fetched / (rates["connection_mb_s"] * 1e6) / HOUR


def _download(
    splits: Mapping[str, SplitCounts], calibration: Calibration, rates: Mapping[str, float]
) -> Stage:
    images, units = _sum(splits, "images"), _sum(splits, "units")
    fetched = sum(fetched_bytes(split, calibration) for split in splits.values())
    return Stage(
        "download",
        core_hours=_stage_seconds(fetched, calibration) / HOUR,
        gb_in=fetched / GB,
        gb_out=images * (calibration.staged_bytes + calibration.facts_bytes) / GB,
        shuffle_gb=0.0,
        class_a=units * UNIT_FILES * WRITES,
        class_b=units,
        units=units,
        unit_hours=_connection_hours(fetched / units, rates),
        jobs=1,
    )


def _curate(
    splits: Mapping[str, SplitCounts], calibration: Calibration, rates: Mapping[str, float]
) -> Stage:
    images, train = _sum(splits, "images"), _train(splits)
    parts = math.ceil(images / PARTITION)
    pairs = images * HASHES * BYTES * PHOTO.itemsize
    joins = images * (JOINED + COMPARED) + train * (LISTED * 2 + LEARNT)
    return Stage(
        "curate",
        core_hours=images * rates["curate_core_us"] / 1e6 / HOUR,
        gb_in=images * calibration.facts_bytes * (HASHES + 1) / GB,
        gb_out=images * KEPT / GB,
        shuffle_gb=(pairs + joins) / GB,
        class_a=parts * PART_FILES * WRITES,
        class_b=_sum(splits, "units") * (HASHES + 1),
        units=parts * BYTES,
        unit_hours=0.0,
        jobs=HASHES + 1,
    )


def _shard(
    splits: Mapping[str, SplitCounts], calibration: Calibration, rates: Mapping[str, float]
) -> Stage:
    made = {name: split for name, split in splits.items() if name != "index"}
    images = _sum(made, "images")
    size = images * calibration.staged_bytes
    shards = max(1, round(size / SHARD))
    opened = shards * _sum(made, "units")
    reads = images + opened
    waits = reads / shards * rates["request_ms"] / 1000 / rates["requests_at_once"]
    return Stage(
        "shard",
        core_hours=images * calibration.shard_ms / 1000 / HOUR,
        gb_in=size / GB,
        gb_out=size / GB,
        shuffle_gb=images * (JOINED / 2 + KEPT + PLACED) / GB,
        class_a=shards * WRITES,
        class_b=reads,
        units=shards,
        unit_hours=waits / HOUR,
        jobs=1,
    )


def _score(
    splits: Mapping[str, SplitCounts],
    calibration: Calibration,
    gmacs: float,
    rates: Mapping[str, float],
) -> Stage:
    test = {name: split for name, split in splits.items() if name == "test"}
    images, units = _sum(test, "images"), max(1, _sum(test, "units"))
    fetched = sum(fetched_bytes(split, calibration) for split in test.values())
    # A vCPU's rate, as cores of the machine that was calibrated.
    infer = gmacs / rates["vcpu_gmacs"] * rates["vcpu_of_a_core"]
    return Stage(
        "score",
        core_hours=(_stage_seconds(fetched, calibration) + images * infer) / HOUR,
        gb_in=fetched / GB,
        gb_out=0.0,
        shuffle_gb=0.0,
        class_a=WRITES,
        class_b=units,
        units=units,
        unit_hours=_connection_hours(fetched / units, rates),
        jobs=1,
    )


def _sum(splits: Mapping[str, SplitCounts], name: str) -> int:
    return sum(getattr(split, name) for split in splits.values())


def _train(splits: Mapping[str, SplitCounts]) -> int:
    return splits["train"].images if "train" in splits else 0


# ---- workers and hours ----------------------------------------------------------------------


def wall_hours(stage: Stage, workers: int, rates: Mapping[str, float]) -> float:
    """Returns the hours from the request for a stage's jobs to their end.

    The pieces are done in waves, one piece a process.

    Args:
      stage: its cost.
      workers: number of workers.
      rates: prices and assumptions.
    """
    processes = min(stage.units, workers * rates["worker_vcpus"])
    piece = max(vcpu_hours(stage, rates) / stage.units, stage.unit_hours)
    waves = math.ceil(stage.units / processes)
    return stage.jobs * rates["job_start_hours"] + waves * piece


def vcpu_hours(stage: Stage, rates: Mapping[str, float]) -> float:
    """Converts a stage's core hours to hours of a worker's vCPU."""
    return stage.core_hours / rates["vcpu_of_a_core"]


def workers_for(stages: Sequence[Stage], deadline: float, rates: Mapping[str, float]) -> int | None:
    """Returns the least number of workers that end all stages, in turn, within a deadline.

    Args:
      stages: in order.
      deadline: hours.
      rates: prices and assumptions.

    Returns:
      the number of workers; None where MAX_WORKERS are too few.
    """
    for workers in range(1, MAX_WORKERS + 1):
        if sum(wall_hours(stage, workers, rates) for stage in stages) <= deadline:
            return workers
    return None
