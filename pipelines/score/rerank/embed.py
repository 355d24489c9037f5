"""gld2 embed: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common import cli
from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import BEAM_NOTE
from pipelines.score.options import EmbedOptions

COMMAND = Command(
    "embed",
    EmbedOptions,
    "Write each photo's embedding (float32, of length 1) and the landmark of its record as "
    "Parquet files: one for each shard, archive or block of photos.",
    BEAM_NOTE
    + """\
  gld2 embed --images OUT/dataset --split train --model JOB/export --output OUT/embeddings
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options, flags = COMMAND.parse_known(argv)
    from pipelines.runner.options import beam_options
    from pipelines.score.pipeline import find_job  # Beam, for which --help should not wait
    from pipelines.score.rerank.embeddings import embed

    beams = beam_options(COMMAND.name, flags)
    job = find_job(options, options.output.output, top_k=1, embed=True)
    embed(job, options, beams)
    return 0


if __name__ == "__main__":
    cli.door("embed", "pipelines.score.rerank.embed", "pipelines")
