"""Pipeline 1: archives become staged TFRecords, facts and rejects, one unit at a time."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import engine, files, options, progress
from pipelines.layout import Output
from pipelines.schema import UserError
from pipelines.source import Source, discover, expand
from pipelines.stage import Parameters, Unit, stage

EXAMPLES = """\
  gld2 download --source https://s3.amazonaws.com/google-landmark --output OUT --archives 0-1
  gld2 download --source ~/landmarks --output OUT --direct_num_workers=2 \\
      --direct_running_mode=multi_processing
"""


@dataclasses.dataclass
class StageUnits(beam.PTransform):
    """Units and loose splits -> a summary for each unit.

    Attributes:
      output: where units are written.
      parameters: how photos are normalised.
      attempts: fetches of a bad unit.
      progress_folder: where a progress bar looks, if one does.
    """

    output: Output
    parameters: Parameters
    attempts: int
    progress_folder: str | None = None

    def __post_init__(self):
        super().__init__()

    def expand(self, parts):
        return (
            parts  # Unit | Loose
            | "Expand" >> beam.FlatMap(expand)  # Unit
            | "Spread" >> beam.Reshuffle()
            | "Stage"
            >> beam.Map(
                stage_and_count, self.output, self.parameters, self.attempts, self.progress_folder
            )
        )


def stage_and_count(
    unit: Unit,
    output: Output,
    parameters: Parameters,
    attempts: int,
    progress_folder: str | None = None,
) -> dict[str, Any]:
    summary = stage(unit, output, parameters, attempts, progress_folder)
    progress.add(progress_folder, units=1)
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
    attempts: int,
    beam_options: PipelineOptions,
) -> None:
    """Stages what is not staged yet, then prints the counts.

    Raises:
      UserError: the folder was made with other parameters, or no unit at all
        could be staged.
    """
    files.make_folder(output.root)
    refuse_other_parameters(output, parameters)
    for part in ("staged", "facts", "rejects"):
        files.remove_temporaries(files.join(output.root, part))
    with progress.bar("download", output.progress("download"), "units", source.archives) as folder:
        transform = StageUnits(output, parameters, attempts, folder)
        counters = engine.run(
            lambda p: p | beam.Create(source.parts, reshuffle=False) | transform, beam_options
        )
    _print(source, output, counters.get("units_failed", 0))


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


def done_files(output: Output) -> list[str]:
    return files.match(output.done("*"))


def summaries(output: Output) -> list[dict[str, Any]]:
    """The done.json of every staged unit, in the order of their names."""
    return [files.read_json(path) for path in done_files(output)]


def _print(source: Source, output: Output, failed: int) -> None:
    done = summaries(output)
    if not done:
        raise UserError(f"no archive could be staged; {output.rejects('*')} says why of each")
    for split in source.splits:
        mine = [summary for summary in done if summary["split"] == split]
        images = sum(s["images"] for s in mine)
        staged = sum(s["staged"] for s in mine)
        rejected: collections.Counter[str] = collections.Counter()
        for summary in mine:
            rejected.update(summary["rejected"])
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(rejected.items()))
        print(
            f"download {split}: {images} images in {len(mine)} units = {staged} staged "
            f"+ {rejected.total()} rejected" + (f" ({reasons})" if reasons else "")
        )
        if images != staged + rejected.total():
            raise AssertionError(f"download {split}: the sum does not hold")
    unchecked = sum(s["md5"] is None for s in done)
    if unchecked:
        print(f"download: {unchecked} units without an md5 to check")
    if failed:
        print(
            f"download: {failed} units could not be staged; {output.rejects('*')} says why; "
            "run the same command again to try them again"
        )


GROUPS = (
    options.SourceOptions,
    options.SplitsOptions,
    options.OutputOptions,
    options.FetchOptions,
    options.NormalOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = options.parse(
        "download",
        "Fetch photos, check their md5, make them upright RGB JPEGs of a bounded size, and "
        "write them as TFRecords (staged/) with a row of facts for each (facts/).",
        EXAMPLES,
        GROUPS,
        argv,
    )
    source = find(args)
    download(source, Output(args.output), parameters(args), args.attempts, beam_options)
    return 0


def parameters(args) -> Parameters:
    return Parameters(args.normal, args.limit, args.max_bytes)


def find(args) -> Source:
    """The source that the flags name; says what it lacks."""
    source = discover(args.source, args.split, args.archives)
    for absent in source.absent:
        print(f"{args.source}: no {absent}; done without")
    return source
