"""gld2 report: the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import Options, OutputOptions, flag, group
from pipelines.common.paths import Output


@dataclasses.dataclass(frozen=True)
class ReportOptions(Options):
    """The flags of gld2 report.

    Attributes:
      output: the folder of the run that is reported on.
      job_dir: of a training whose curves are shown; None for none.
      metrics: path of metrics.json that is shown; None for none.
    """

    output: OutputOptions = group()
    job_dir: str | None = flag(None, "--job_dir of gld2 train, to show its training curves")
    metrics: str | None = flag(
        None, "path of metrics.json, made by gld2 evaluate, to show the scores"
    )


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
