"""Pipeline 1: archives become staged TFRecords, facts and rejects, one unit at a time."""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths
from pipelines.common.errors import UserError
from pipelines.common.paths import Output
from pipelines.download.effort import Effort
from pipelines.download.staging import stage
from pipelines.runner import engine, progress
from pipelines.runner.transform import Transform
from pipelines.source.discover import Source, expand
from pipelines.source.staged_units import summaries
from pipelines.source.unit import PASSING, Parameters, Unit
from pipelines.storage import filesystem


@dataclasses.dataclass
class StageUnits(Transform):
    """Units, loose splits and lanes of URLs -> a summary for each unit.

    Attributes:
      output: where units are written.
      parameters: what they are like.
      effort: how they are worked on.
    """

    output: Output
    parameters: Parameters
    effort: Effort

    def expand(self, parts):
        units = (
            parts  # Part
            | "SpreadParts" >> beam.Reshuffle()
            | "Expand" >> beam.FlatMap(expand)  # Unit
        )
        # The units of a lane stay together, one after the other: that is its politeness.
        if not self.effort.politeness:
            units = units | "SpreadUnits" >> beam.Reshuffle()
        return units | "Stage" >> beam.Map(
            stage_and_count, self.output, self.parameters, self.effort
        )


def stage_and_count(
    unit: Unit, output: Output, parameters: Parameters, effort: Effort
) -> dict[str, Any]:
    summary = stage(unit, output, parameters, effort, engine.measure)
    progress.add(effort.progress, units=1)
    if "failed" in summary:
        engine.count("units_failed")
        return summary
    engine.count("units")
    engine.count("images", summary["images"])
    engine.count("staged", summary["staged"])
    engine.count("bytes", summary["bytes"])
    for reason, number in summary["rejected"].items():
        engine.count(f"rejected_{reason}", number)
    return summary


def download(
    source: Source,
    output: Output,
    parameters: Parameters,
    effort: Effort,
    beam_options: PipelineOptions,
) -> None:
    """Stages what is not staged yet, then prints the counts.

    Raises:
      UserError: the folder was made with other parameters, or no unit at all
        could be staged.
    """
    filesystem.make_folder(output.root)
    refuse_other_parameters(output, parameters)
    for part in ("staged", "facts", "rejects"):
        filesystem.remove_temporaries(paths.join(output.root, part))
    started = time.monotonic()
    with progress.bar("download", output.progress("download"), "units", source.archives) as folder:
        transform = StageUnits(output, parameters, dataclasses.replace(effort, progress=folder))
        counters = engine.run(
            lambda p: p | beam.Create(source.parts, reshuffle=False) | transform, beam_options
        )
    _print(source, output, counters, time.monotonic() - started)


def refuse_other_parameters(output: Output, parameters: Parameters) -> None:
    """Raises UserError where `output` holds units that were staged with other flags."""
    wanted = dataclasses.asdict(parameters)
    wanted |= wanted.pop("normal")
    for summary in summaries(output):
        found = dict(summary["parameters"])
        found |= found.pop("normal")
        other = [
            f"{name} {found.get(name)}, not {value}"
            for name, value in wanted.items()
            if found.get(name) != value
        ]
        if other:
            raise UserError(
                f"{output.done(summary['unit'])}: staged with {'; '.join(other)}; "
                "use the same flags or another --output"
            )


def _print(source: Source, output: Output, counters: Mapping[str, int], seconds: float) -> None:
    done = summaries(output)
    if not done:
        raise UserError(f"no unit could be staged; {output.rejects('*')} says why of each")
    for split in source.splits:
        _print_split(split, [summary for summary in done if summary["split"] == split])
    megabytes = sum(s["bytes"] for s in done) / 1e6
    retried = ", ".join(
        f"{name.removeprefix('retried_')} {n}"
        for name, n in sorted(counters.items())
        if name.startswith("retried_")
    )
    print(
        f"download: {megabytes:.1f} MB of photos in {len(done)} units, {seconds:.0f} s"
        + (f"; tried again: {retried}" if retried else "")
    )
    unchecked = sum(s["md5"] is None for s in done)
    if unchecked:
        print(f"download: {unchecked} units without an md5 to check")
    if failed := counters.get("units_failed"):
        print(
            f"download: {failed} units could not be staged; {output.rejects('*')} says why; "
            "run the same command again to try them again"
        )
    if passing := sum(s["rejected"].get(reason, 0) for s in done for reason in PASSING):
        print(f"download: {passing} photos may be had another day; --retry_rejected tries them")


def _print_split(split: str, done: list[dict[str, Any]]) -> None:
    images = sum(summary["images"] for summary in done)
    staged = sum(summary["staged"] for summary in done)
    rejected: collections.Counter[str] = collections.Counter()
    for summary in done:
        rejected.update(summary["rejected"])
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(rejected.items()))
    print(
        f"download {split}: {images} images in {len(done)} units = {staged} staged "
        f"+ {rejected.total()} rejected" + (f" ({reasons})" if reasons else "")
    )
    if images != staged + rejected.total():
        raise AssertionError(f"download {split}: the sum does not hold")
