"""gld2 curate: the command line"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.options import OutputOptions, SeedOptions
from pipelines.common.paths import Output
from pipelines.curate.decisions import Parameters
from pipelines.curate.options import CurateOptions, FilterOptions
from pipelines.curate.pipeline import curate
from pipelines.runner.options import parse
from pipelines.source.discover import discover_metadata
from pipelines.source.options import SourceOptions, SplitsOptions
from pipelines.source.staged_units import say_absent

EXAMPLES = """\
  gld2 curate --source https://s3.amazonaws.com/google-landmark --output OUT
  gld2 curate --source ROOT --output OUT --min_images_per_class 10 --validation 0.02
"""


GROUPS = (
    SourceOptions,
    SplitsOptions,
    OutputOptions,
    CurateOptions,
    FilterOptions,
    SeedOptions,
)


def parameters(args) -> Parameters:
    return Parameters(
        args.min_images_per_class,
        args.validation_share,
        args.seed,
        args.near_duplicate_radius,
        args.on_conflict,
        args.against,
        args.filters,
    )


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = parse(
        "curate",
        "Decide over facts, not pixels: join the landmarks, drop duplicates and rare landmarks, "
        "choose validation images and number the classes. Runs again in minutes.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    source = discover_metadata(args.source)
    say_absent(source)
    curate(source, Output(args.output), args.split, parameters(args), beam_options)
    return 0
