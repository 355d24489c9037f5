"""Reads and writes calibration.json, the costs of a photo on one machine."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pipelines.common.errors import UserError
from pipelines.common.records import json_record
from pipelines.storage import filesystem


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The mean cost of a photo.

    Attributes:
      source: the photos' source.
      photos: number of photos measured.
      image_size: bound of the longest side of staged photos, pixels.
      source_bytes: size of a photo as published.
      staged_bytes: size of its staged record.
      facts_bytes: size of its row in Parquet.
      stage_ms: CPU time to check, decode, resize, hash and encode it, ms of a core.
      shard_ms: CPU time to read it back and write it into a shard, ms of a core.
    """

    REMEDY: ClassVar[str] = "gld2 plan expected a calibration: remove it to measure again"

    source: str
    photos: int
    image_size: int
    source_bytes: float
    staged_bytes: float
    facts_bytes: float
    stage_ms: float
    shard_ms: float


def load(path: str) -> Calibration:
    """Reads a calibration.

    Raises:
      UserError: the file is absent, malformed, or has a figure that is not above 0.
    """
    calibration = filesystem.read_record(Calibration, path)
    for name, value in dataclasses.asdict(calibration).items():
        if name != "source" and not value > 0:
            raise UserError(
                f"{path}: `{name}`: expected more than 0, found {value}; {calibration.REMEDY}"
            )
    return calibration


def save(calibration: Calibration, path: str) -> None:
    """Writes a calibration as JSON, its keys in the order of the fields."""
    filesystem.write(path, json_record.dumps(calibration, sort_keys=False))
