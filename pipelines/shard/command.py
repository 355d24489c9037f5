"""gld2 shard: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import BEAM_NOTE
from pipelines.common.paths import Output
from pipelines.shard.options import ShardCommandOptions

COMMAND = Command(
    "shard",
    ShardCommandOptions,
    "Gather the kept photos into TFRecord shards with DELF's keys, in an order that "
    "depends on the seed alone.",
    BEAM_NOTE
    + """\
  gld2 shard --output OUT
  gld2 shard --output gs://bucket/gld2 --version 1.1.0 --shard_size_mb 100
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options, flags = COMMAND.parse_known(argv)
    from pipelines.runner.options import beam_options
    from pipelines.shard import pipeline  # Beam, for which --help should not wait
    from pipelines.shard.plan import attribution_csv

    beams = beam_options(COMMAND.name, flags)
    csv = attribution_csv(options.source.source, options.shard)
    output, allowed = Output(options.output.output), options.incomplete.allow_incomplete
    pipeline.shard(output, options.shard, csv, beams, allowed)
    return 0
