"""Defines `gld2 prepare`: downloads, curates and shards, in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pipelines.common import cli
from pipelines.common.options.command_line import Command
from pipelines.common.options.curation import CurateOptions
from pipelines.common.options.flags import BEAM_NOTE, group
from pipelines.common.paths import Output
from pipelines.download.options import DownloadOptions
from pipelines.shard.options import ShardOptions


@dataclasses.dataclass(frozen=True)
class PrepareOptions(DownloadOptions):
    """The flags of gld2 prepare, which are those of its three stages."""

    curate: CurateOptions = group("curate")
    shard: ShardOptions = group("shard")


COMMAND = Command(
    "prepare",
    PrepareOptions,
    "Download, curate and shard: from a source's archives to a dataset that gld2 train "
    "takes. Stopped or killed, the same command goes on where it was.",
    BEAM_NOTE
    + """\
  # a first look at the real set: the first 200 photos of two tars, all landmarks kept
  gld2 prepare --source https://s3.amazonaws.com/google-landmark --output OUT \\
      --archives 0-1 --limit 200 --min_images_per_class 1

  # a folder, as Kaggle has it, on two processes
  gld2 prepare --source ~/landmark-recognition-2020 --output OUT \\
      --direct_num_workers=2 --direct_running_mode=multi_processing

  # all of it, on Dataflow
  gld2 prepare --source https://s3.amazonaws.com/google-landmark --output gs://bucket/gld2 \\
      --runner=DataflowRunner --project=PROJECT --region=europe-west4 \\
      --temp_location=gs://bucket/temp --setup_file=./setup.py \\
      --requirements_file=docker/pipelines.txt --requirements_cache=skip
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options, flags = COMMAND.parse_known(argv)
    from pipelines.curate import pipeline as curating  # Beam, which --help should not wait for
    from pipelines.curate.inputs import with_filters
    from pipelines.download import pipeline as downloading
    from pipelines.download.inputs import find_source, staging_options
    from pipelines.runner.options import beam_options
    from pipelines.shard import pipeline as sharding
    from pipelines.shard.plan import attribution_csv
    from pipelines.source import metadata_csv

    beams = beam_options(COMMAND.name, flags)
    output, splits = Output(options.output.output), options.splits.split
    # What may be missing or malformed is looked for before the first photo is fetched.
    source = with_filters(find_source(options), options.curate.filters)
    csv = attribution_csv(options.source.source, options.shard)
    if "train" in splits:
        metadata_csv.check(source.train_csv, metadata_csv.TRAIN)
        metadata_csv.check(source.clean_csv, metadata_csv.CLEAN)
        metadata_csv.check(source.attribution_csv, metadata_csv.ATTRIBUTION)
        metadata_csv.check(csv, metadata_csv.CREDIT)
    staging = staging_options(options, beams)
    allowed = options.incomplete.allow_incomplete
    downloading.download(source, output, options.records, staging, beams, allowed)
    curating.curate(source, output, splits, options.curate, beams, allowed)
    sharding.shard(output, options.shard, csv, beams, allowed)
    goes_on = "score --images" if splits == ("test",) else "train --job_dir JOB --data"
    print(f"prepare: next, run gld2 {goes_on} {output.dataset}")
    return 0


if __name__ == "__main__":
    cli.door("prepare", "pipelines.prepare", "pipelines")
