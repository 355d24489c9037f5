"""gld2 evaluate: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.evaluate.options import EvaluateOptions

COMMAND = Command(
    "evaluate",
    EvaluateOptions,
    "Score a submission as Kaggle does: GAP, and accuracy, precision, recall; or compare "
    "several, by a paired bootstrap over queries.",
    """\
examples:
  gld2 evaluate --submission submission.csv \\
      --solution ROOT/ground_truth/recognition_solution_v2.1.csv --output metrics.json
  gld2 evaluate --submission submission.csv --solution SOLUTION --images OUT   # and mistakes.jpg
  gld2 evaluate A.csv B.csv --solution SOLUTION --output comparison.json       # is A better?
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options = COMMAND.parse(argv)
    from pipelines.evaluate.figures import evaluate_files  # pandas, which is slow to import

    evaluate_files(options)
    return 0
