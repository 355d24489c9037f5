"""gld2 score: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import BEAM_NOTE
from pipelines.score.options import ScoreOptions

COMMAND = Command(
    "score",
    ScoreOptions,
    "Score photos with an exported model and write a Kaggle submission: one row for each "
    "id, '<landmark_id> <score>' or an empty cell.",
    BEAM_NOTE
    + """\
  gld2 score --source ROOT --model JOB/export --output submission.csv
  gld2 score --images OUT/dataset --split test --model JOB/export --output submission.csv
  gld2 score --source ROOT --model JOB/export --output submission.csv \\
      --rerank retrieval --train OUT/dataset
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options, flags = COMMAND.parse_known(argv)
    from pipelines.runner.options import beam_options
    from pipelines.score.scoring import score  # Beam, for which --help should not wait

    score(options, beam_options(COMMAND.name, flags))
    return 0
