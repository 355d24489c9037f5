"""What was measured on one machine, kept in calibration.json"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pipelines.common.errors import UserError
from pipelines.common.records import json_record
from pipelines.storage import filesystem


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Means over some photos.

    Attributes:
      source: what was measured.
      photos: how many.
      image_size: bound of the longest side of what is staged, pixels.
      source_bytes: of a photo as published.
      staged_bytes: of its staged record.
      facts_bytes: of its row in Parquet.
      stage_ms: to check, decode, resize, hash and encode it, ms of a core.
      shard_ms: to read it back and write it into a shard, ms of a core.
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
    """Raises UserError where the file is not what `save` writes."""
    calibration = filesystem.read_record(Calibration, path)
    for name, value in dataclasses.asdict(calibration).items():
        if name != "source" and not value > 0:
            raise UserError(
                f"{path}: `{name}`: expected more than 0, found {value}; {calibration.REMEDY}"
            )
    return calibration


def save(calibration: Calibration, path: str) -> None:
    filesystem.write(path, json_record.dumps(calibration, sort_keys=False))
