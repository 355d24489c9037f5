"""gld2 shard: the command line"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pipelines.common.errors import UserError
from pipelines.common.options import OutputOptions, SeedOptions
from pipelines.common.paths import Output
from pipelines.runner.options import parse
from pipelines.shard.options import ShardOptions
from pipelines.shard.pipeline import shard
from pipelines.shard.plan import Parameters
from pipelines.source import discover, metadata_csv
from pipelines.source.options import OptionalSourceOptions, SplitsOptions

EXAMPLES = """\
  gld2 shard --output OUT
  gld2 shard --output gs://bucket/gld2 --version 1.1.0 --shard_size_mb 100
"""


GROUPS = (
    OptionalSourceOptions,  # the three stages take the same flags
    SplitsOptions,
    OutputOptions,
    ShardOptions,
    SeedOptions,
)


def parameters(args: argparse.Namespace) -> Parameters:
    """Raises UserError where attributions are asked for and there are none."""
    csv = None
    if args.with_attribution:
        if not args.source:
            raise UserError("--with_attribution: needs --source, for its attribution CSV")
        csv = discover.attribution_csv(args.source, "--with_attribution", metadata_csv.CREDIT)
    return Parameters(args.version, args.shard_size_mb, args.num_shards, args.seed, csv)


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = parse(
        "shard",
        "Gather the kept photos into TFRecord shards with DELF's keys, in an order that "
        "depends on the seed alone.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    shard(Output(args.output), parameters(args), beam_options)
    return 0
