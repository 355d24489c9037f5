"""Pipeline 1: stages archives as TFRecords, facts and rejects, one unit at a time."""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Mapping

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths
from pipelines.common.errors import UserError, unequal
from pipelines.common.paths import Output
from pipelines.download.options import StagingOptions
from pipelines.download.resume import is_tried_again
from pipelines.download.staging import stage
from pipelines.runner import engine, progress
from pipelines.runner.transform import Transform
from pipelines.source.discover import Source, expand_part
from pipelines.source.staged_units import check_complete, summaries
from pipelines.source.unit import TRANSIENT, RecordParameters, Unit, UnitFailure, UnitSummary
from pipelines.storage import filesystem


@dataclasses.dataclass
class StageUnits(Transform):
    """Stages parts of a source (units, photo folders, shares of URLs): parts -> unit summaries.

    Attributes:
      output: where units are written.
      parameters: determine the bytes of the output.
      staging: options without effect on the output, such as the number of attempts.
    """

    output: Output
    parameters: RecordParameters
    staging: StagingOptions

    def expand(self, parts):
        """Returns the PCollection of summaries and failures, one for each unit."""
        units = (
            parts  # Part
            | "SpreadParts" >> beam.Reshuffle()
            | "Expand" >> beam.FlatMap(expand_part)  # Unit
        )
        # The units of a share stay together, one after the other: that keeps its rate limit.
        if not self.staging.urls:
            units = units | "SpreadUnits" >> beam.Reshuffle()
        return units | "Stage" >> beam.Map(
            stage_and_count, self.output, self.parameters, self.staging
        )


def stage_and_count(
    unit: Unit, output: Output, parameters: RecordParameters, staging: StagingOptions
) -> UnitSummary | UnitFailure:
    """Stages a unit, and counts its images and rejects in the pipeline's counters.

    Args:
      unit: is fetched and staged.
      output: where the unit's files are written.
      parameters: determine the bytes of the output.
      staging: options without effect on the output.
    """
    summary = stage(unit, output, parameters, staging, engine.measure)
    if isinstance(summary, UnitFailure):
        engine.count("units_failed")
        return summary
    engine.count("units")
    engine.count("images", summary.images)
    engine.count("staged", summary.staged)
    engine.count("bytes", summary.bytes)
    for reason, number in summary.rejected.items():
        engine.count(f"rejected_{reason}", number)
    return summary


def download(
    source: Source,
    output: Output,
    parameters: RecordParameters,
    staging: StagingOptions,
    beam_options: PipelineOptions,
    allow_incomplete: bool = False,
) -> None:
    """Stages the units that are not staged yet, then prints the counts.

    Args:
      source: its parts are staged.
      output: where units are written.
      parameters: determine the bytes of the output.
      staging: options without effect on the output.
      beam_options: of the pipeline.
      allow_incomplete: whether units may fail.

    Raises:
      UserError: the folder was made with other parameters, or units could not be staged that may
        not be missing.
    """
    filesystem.make_folder(output.root)
    before = summaries(output)
    _refuse_other_parameters(output, before, parameters)
    for part in ("staged", "facts", "rejects"):
        filesystem.remove_temporaries(paths.join(output.root, part))
    started = time.monotonic()
    transform = StageUnits(output, parameters, staging)
    count_done = _progress(source, output, before if staging.retry_rejected else [])
    with progress.bar("download", count_done, "units", source.unit_count, output.root):
        counters = engine.run(
            lambda p: p | beam.Create(source.parts, reshuffle=False) | transform, beam_options
        )
    _print(source, output, counters, time.monotonic() - started)
    check_complete(output, source.splits, allow_incomplete)


def _progress(source: Source, output: Output, retried: list[UnitSummary]) -> progress.Look:
    """Returns a function that counts the units done and MB written, unfinished units included.

    Args:
      source: its units count.
      output: where they are written.
      retried: finished units of which transient rejects are retried.
    """
    folder, _, ending = output.done("").rpartition("/")
    units = {part.name for part in source.parts if isinstance(part, Unit)}
    known = units if source.unit_count is not None else None
    again = {summary.unit for summary in retried if is_tried_again(summary, True)}
    finished = progress.Finished(folder, ending, known, again)

    def count_done() -> progress.Counts:
        files = filesystem.listing(folder)
        megabytes = sum(entry.size for entry in files.values()) / 1e6
        return {"units": finished.count(files), "MB": megabytes}

    return count_done


def _refuse_other_parameters(
    output: Output, done: list[UnitSummary], parameters: RecordParameters
) -> None:
    """Checks that all units that are done were staged with the same flags.

    Args:
      output: where they are.
      done: their summaries.
      parameters: from the flags of this run.

    Raises:
      UserError: a unit was staged with other flags.
    """
    wanted = _by_flag(parameters)
    for summary in done:
        found = _by_flag(summary.parameters)
        other = [
            f"{name} {found[name]}, not {value}"
            for name, value in wanted.items()
            if found[name] != value
        ]
        if other:
            raise UserError(
                f"{output.done(summary.unit)}: staged with {'; '.join(other)}; "
                "use the same flags or another --output"
            )


def _by_flag(parameters: RecordParameters) -> dict[str, int | None]:
    flags = dataclasses.asdict(parameters)
    return flags | flags.pop("normal")


def _print(source: Source, output: Output, counters: Mapping[str, int], seconds: float) -> None:
    done = summaries(output)
    if not done:
        raise UserError(f"no unit could be staged; see {output.rejects('*')} for the reasons")
    for split in source.splits:
        _print_split(split, [summary for summary in done if summary.split == split])
    megabytes = sum(s.bytes for s in done) / 1e6
    retried = ", ".join(
        f"{name.removeprefix('retried_')} {n}"
        for name, n in sorted(counters.items())
        if name.startswith("retried_")
    )
    print(
        f"download: {megabytes:.1f} MB of photos in {len(done)} units, {seconds:.0f} s"
        + (f"; retries: {retried}" if retried else "")
    )
    unchecked = sum(s.md5 is None for s in done)
    if unchecked:
        print(f"download: {unchecked} units without an md5 to check")
    if accepted := [s.unit for s in done if s.published_md5]:
        print(f"download: another md5 is published of {', '.join(accepted)}, taken by --accept_md5")
    if failed := counters.get("units_failed"):
        print(f"download: {failed} units could not be staged")
    if passing := sum(s.rejected.get(reason, 0) for s in done for reason in TRANSIENT):
        print(
            f"download: {passing} photos could not be reached; "
            "run again with --retry_rejected to retry them"
        )


def _print_split(split: str, done: list[UnitSummary]) -> None:
    images = sum(summary.images for summary in done)
    staged = sum(summary.staged for summary in done)
    rejected: collections.Counter[str] = collections.Counter()
    for summary in done:
        rejected.update(summary.rejected)
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(rejected.items()))
    print(
        f"download {split}: {images} images in {len(done)} units = {staged} staged "
        f"+ {rejected.total()} rejected" + (f" ({reasons})" if reasons else "")
    )
    if images != staged + rejected.total():
        raise unequal(
            f"download {split}: {images} images, {staged} staged + {rejected.total()} rejected"
        )
