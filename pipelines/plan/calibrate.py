"""Measures the cost of a photo on this machine with the functions that the workers run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator

import pandas as pd

from pipelines.common import paths, schema
from pipelines.common.errors import UserError
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.common.schema import SPLITS, STAGED
from pipelines.download.options import StagingOptions
from pipelines.download.staging import stage
from pipelines.plan.calibration import Calibration, load, save
from pipelines.plan.options import CostOptions
from pipelines.sample import writer
from pipelines.sample.config import World
from pipelines.source.discover import discover_source, expand_part
from pipelines.source.unit import RecordParameters, Unit, UnitFailure, UnitSummary
from pipelines.storage import filesystem, parquet, tfrecord
from pipelines.storage.ranged_reads import gather, locations

SIDE = 800  # pixels; the longest side in GLDv2
LANDMARKS, FEWEST_TEST = 14, 16  # the fewest that a generated world can have
COLUMNS = {name: schema.FACTS[name] for name in ("id", "unit", "offset", "length", "status")}


def known_or_measured(cost: CostOptions) -> Calibration:
    """Returns the cost of a photo, from the file if it exists, else measured and saved in it.

    Raises:
      UserError: the file was measured on another source or image size.
    """
    if filesystem.exists(cost.calibration):
        found = load(cost.calibration)
        if found.image_size != cost.staged_size or cost.calibrate not in (None, found.source):
            raise UserError(
                f"{cost.calibration}: measured on {found.source}, to {found.image_size} pixels; "
                "use the same flags or another --calibration"
            )
        return found
    found = measure(cost.calibrate, cost.photos, cost.staged_size)
    save(found, cost.calibration)
    return found


def measure(root: str | None, photos: int, image_size: int) -> Calibration:
    """Measures the staging and sharding of some photos in one process.

    Args:
      root: the photos' source; None generates photos of GLDv2's size.
      photos: approximate number of photos.
      image_size: bound of the longest side of staged photos, pixels.

    Raises:
      UserError: there are no photos at root, or none that can be read.
    """
    with tempfile.TemporaryDirectory(prefix="gld2-") as folder:
        units = _units(root or _drawn(f"{folder}/source", photos))
        output, normal = Output(folder), NormalizationConfig(image_size)
        begun = time.process_time()
        summaries, failure = _staged(units, output, normal, photos)
        staged_in = time.process_time() - begun
        number = sum(summary.images for summary in summaries)
        staged = sum(summary.staged for summary in summaries)
        fetched = sum(summary.bytes for summary in summaries)
        if not staged:
            raise UserError(f"{root}: no photo could be read; {failure}")
        names = [summary.unit for summary in summaries if summary.staged]
        begun = time.process_time()
        _shard(output, names)
        sharded_in = time.process_time() - begun
        return Calibration(
            source=root or f"{number} drawn photos of {SIDE} pixels",
            photos=number,
            image_size=image_size,
            source_bytes=round(fetched / number),
            staged_bytes=round(sum(filesystem.size(output.staged(n)) for n in names) / staged),
            facts_bytes=round(sum(filesystem.size(output.facts(n)) for n in names) / number, 1),
            stage_ms=round(1000 * staged_in / number, 3),
            shard_ms=round(1000 * sharded_in / staged, 3),
        )


def _staged(
    units: Iterable[Unit], output: Output, normal: NormalizationConfig, photos: int
) -> tuple[list[UnitSummary], str]:
    """Stages units until `photos` are staged or a unit fails; returns its failure too, or ''."""
    summaries: list[UnitSummary] = []
    for unit in units:
        found = stage(unit, output, RecordParameters(normal, limit=photos), StagingOptions())
        if isinstance(found, UnitFailure):
            return summaries, found.detail
        summaries.append(found)
        photos -= found.images
        if photos <= 0:
            break
    return summaries, ""


def _drawn(folder: str, photos: int) -> str:
    world = World(
        landmarks=LANDMARKS,
        train_images=photos,
        test_images=FEWEST_TEST,
        index_images=0,
        defects=0,
        train_archives=1,
        sides=(SIDE, SIDE),
    )
    writer.write_world(folder, world)
    return folder


def _units(root: str) -> Iterator[Unit]:
    for part in discover_source(root, SPLITS).parts:
        yield from expand_part(part)


def _shard(output: Output, units: Iterable[str]) -> None:
    """Writes a shard as the pipeline does, in the order of ids, not of positions in files."""
    facts = pd.concat([parquet.read(output.facts(unit), COLUMNS) for unit in units])
    rows = facts[facts["status"] == STAGED].sort_values("id")
    columns = rows[["unit", "offset", "length"]].itertuples(index=False)
    with filesystem.atomic(paths.join(output.root, "shard")) as file:
        for record in gather(locations(columns), output.staged):
            file.write(tfrecord.frame(record))
