"""gld2 validate-submission: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common import cli
from pipelines.common.options.command_line import Command
from pipelines.kaggle.options import ValidateOptions

COMMAND = Command(
    "validate-submission",
    ValidateOptions,
    "Check the header, cells, ids and landmarks of a submission. All faults are found; of each "
    "kind the rows are counted and the first few printed.",
    """\
exits with 0 where the submission has no errors, with 1 where it has some, and with 2 where it could
not be checked: a file cannot be read, or a flag is wrong. Rows in another order than the ids are a
warning only: Kaggle joins rows by id, but gld2 score keeps the order.

examples:
  gld2 validate-submission --submission submission.csv --ids sample_submission.csv
  gld2 validate-submission --submission submission.csv --source ROOT --labels JOB/export/labels.csv
  gld2 validate-submission --submission submission.csv --ids test.csv --train train.csv
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 where the submission has errors."""
    options = COMMAND.parse(argv)
    from pipelines.kaggle.checks import validate  # Arrow, which is slow to import

    return 0 if validate(options) else 1


if __name__ == "__main__":
    cli.door("validate-submission", "pipelines.kaggle.validate", "pipelines")
