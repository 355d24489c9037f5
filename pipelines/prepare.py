"""Pipelines 1, 2 and 3, in order."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.paths import Output
from pipelines.curate import pipeline as curate_pipeline
from pipelines.download import pipeline as download_pipeline
from pipelines.runner.options import (
    CurateOptions,
    FetchOptions,
    FilterOptions,
    NormalOptions,
    OutputOptions,
    SeedOptions,
    ShardOptions,
    SourceOptions,
    SplitsOptions,
    UrlOptions,
    parse,
)
from pipelines.shard import pipeline as shard_pipeline
from pipelines.source.discover import with_filters

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
    source = with_filters(download_pipeline.find(args), args.filters)
    shape = shard_pipeline.parameters(args)
    effort = download_pipeline.effort(args, beam_options)
    download_pipeline.download(
        source, output, download_pipeline.parameters(args), effort, beam_options
    )
    curate_pipeline.curate(
        source, output, args.split, curate_pipeline.parameters(args), beam_options
    )
    shard_pipeline.shard(output, shape, beam_options)
    goes_on = "score --images" if list(args.split) == ["test"] else "train --job_dir JOB --data"
    print(f"prepare: gld2 {goes_on} {output.dataset} comes next")
    return 0
