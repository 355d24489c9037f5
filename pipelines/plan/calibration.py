"""What was measured on one machine, kept in calibration.json"""

from __future__ import annotations

import dataclasses
import json

from pipelines.common.errors import UserError
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
    found = filesystem.read_json(path)
    try:
        calibration = Calibration(**found)
        good = all(value > 0 for name, value in found.items() if name != "source")
    except TypeError:
        good = False
    if not good:
        raise UserError(f"{path}: expected a calibration of gld2 plan; remove it to measure again")
    return calibration


def save(calibration: Calibration, path: str) -> None:
    filesystem.write(path, json.dumps(dataclasses.asdict(calibration), indent=2) + "\n")
