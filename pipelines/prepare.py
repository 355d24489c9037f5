"""Pipelines 1, 2 and 3, in order."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common import cli
from pipelines.common.options import OutputOptions, SeedOptions
from pipelines.common.paths import Output
from pipelines.curate import command as curate_command
from pipelines.curate import pipeline as curate_pipeline
from pipelines.curate.inputs import with_filters
from pipelines.curate.options import CurateOptions, FilterOptions
from pipelines.download import command as download_command
from pipelines.download import pipeline as download_pipeline
from pipelines.download.options import FetchOptions, NormalOptions, UrlOptions
from pipelines.runner.options import parse
from pipelines.shard import command as shard_command
from pipelines.shard import pipeline as shard_pipeline
from pipelines.shard.options import ShardOptions
from pipelines.source.options import SourceOptions, SplitsOptions

EXAMPLES = """\
  # a first look at the real set: the first 200 photos of two tars
  gld2 prepare --source https://s3.amazonaws.com/google-landmark --output OUT \\
      --archives 0-1 --limit 200

  # a folder, as Kaggle has it, on two processes
  gld2 prepare --source ~/landmark-recognition-2020 --output OUT \\
      --direct_num_workers=2 --direct_running_mode=multi_processing

  # all of it, on Dataflow
  gld2 prepare --source https://s3.amazonaws.com/google-landmark --output gs://bucket/gld2 \\
      --runner=DataflowRunner --project=PROJECT --region=europe-west4 \\
      --temp_location=gs://bucket/temp --setup_file=./setup.py \\
      --requirements_file=docker/pipelines.txt --requirements_cache=skip
"""

GROUPS = (
    SourceOptions,
    SplitsOptions,
    OutputOptions,
    FetchOptions,
    UrlOptions,
    NormalOptions,
    CurateOptions,
    FilterOptions,
    ShardOptions,
    SeedOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = parse(
        "prepare",
        "Download, curate and shard: from a source's archives to a dataset that gld2 train "
        "takes. Stopped or killed, the same command goes on where it was.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    output = Output(args.output)
    source = with_filters(download_command.find(args), args.filters)
    shape = shard_command.parameters(args)
    effort = download_command.effort(args, beam_options)
    staging = download_command.parameters(args)
    download_pipeline.download(source, output, staging, effort, beam_options)
    curate_pipeline.curate(
        source, output, args.split, curate_command.parameters(args), beam_options
    )
    shard_pipeline.shard(output, shape, beam_options)
    goes_on = "score --images" if list(args.split) == ["test"] else "train --job_dir JOB --data"
    print(f"prepare: gld2 {goes_on} {output.dataset} comes next")
    return 0


if __name__ == "__main__":
    cli.door("prepare", "pipelines.prepare", "pipelines")
