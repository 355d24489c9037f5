"""gld2 validate-submission: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common import cli
from pipelines.common.command_line import Command
from pipelines.kaggle.options import ValidateOptions

COMMAND = Command(
    "validate-submission",
    ValidateOptions,
    "Look for all that is wrong with a submission: its header, its cells, its ids, its "
    "landmarks. Of each kind of fault the rows are counted and the first few named.",
    """\
exits with 0 where the submission is good, with 1 where it is not, and with 2 where it could not be
looked at: a file that cannot be read, or a flag that makes no sense. Rows in another order than the
ids' are a warning: Kaggle joins rows by id, but gld2 score keeps the order.

examples:
  gld2 validate-submission --submission submission.csv --ids sample_submission.csv
  gld2 validate-submission --submission submission.csv --source ROOT --labels JOB/export/labels.csv
  gld2 validate-submission --submission submission.csv --ids test.csv --train train.csv
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 where the submission is not good."""
    options = COMMAND.parse(argv)
    from pipelines.kaggle.checks import validate  # Arrow, which is slow to import

    return 0 if validate(options) else 1


if __name__ == "__main__":
    cli.door("validate-submission", "pipelines.kaggle.validate", "pipelines")
