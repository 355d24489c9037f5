"""gld2 report: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.common.paths import Output
from pipelines.report.options import ReportOptions

COMMAND = Command(
    "report",
    ReportOptions,
    "Write a web page about a prepared dataset: how many images each filter dropped, class sizes, "
    "and contact sheets.",
    """\
examples:
  gld2 report --output OUT
  gld2 report --output OUT --job_dir JOB --metrics metrics.json
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options = COMMAND.parse(argv)
    from pipelines.report.page import report  # pandas, which is slow to import

    path = report(Output(options.output.output), options.job_dir, options.metrics)
    print(f"report: {path}")
    return 0
