"""gld2 download: the command line"""

from __future__ import annotations

from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common.options import OutputOptions
from pipelines.common.paths import Output
from pipelines.download.effort import Effort
from pipelines.download.options import FetchOptions, NormalOptions, UrlOptions
from pipelines.download.pipeline import download
from pipelines.runner.options import parse, threads
from pipelines.source.discover import Source, discover, discover_urls
from pipelines.source.options import SourceOptions, SplitsOptions
from pipelines.source.staged_units import say_absent
from pipelines.source.unit import Parameters

EXAMPLES = """\
  gld2 download --source https://s3.amazonaws.com/google-landmark --output OUT --archives 0-1
  gld2 download --source ~/landmarks --output OUT --direct_num_workers=2 \\
      --direct_running_mode=multi_processing
"""


GROUPS = (
    SourceOptions,
    SplitsOptions,
    OutputOptions,
    FetchOptions,
    UrlOptions,
    NormalOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = parse(
        "download",
        "Fetch photos, check their md5, make them upright RGB JPEGs of a bounded size, and "
        "write them as TFRecords (staged/) with a row of facts for each (facts/).",
        EXAMPLES,
        GROUPS,
        argv,
    )
    source = find(args)
    download(
        source, Output(args.output), parameters(args), effort(args, beam_options), beam_options
    )
    return 0


def parameters(args) -> Parameters:
    return Parameters(args.normal, args.limit, args.max_bytes)


def effort(args, beam_options: PipelineOptions) -> Effort:
    return Effort(
        attempts=args.attempts,
        threads=threads(args, beam_options),
        politeness=args.politeness,
        retry_rejected=args.retry_rejected,
    )


def find(args) -> Source:
    """The source that the flags name; says what it lacks."""
    if args.politeness:
        source = discover_urls(args.source, args.split, args.lanes)
    else:
        source = discover(args.source, args.split, args.archives)
    say_absent(source)
    return source
