"""What happened, as a page to look at."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.cli import Parser
from pipelines.common.options import OutputOptions
from pipelines.common.paths import Output
from pipelines.report.page import report

EXAMPLES = """\
examples:
  gld2 report --output OUT
  gld2 report --output OUT --job_dir JOB --metrics metrics.json
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(
        "report", "Make a page to look at: the funnel, class sizes, what was dropped.", EXAMPLES
    )
    OutputOptions.add_arguments(parser)
    parser.add_argument("--job_dir", help="of gld2 train, to show its curves")
    parser.add_argument("--metrics", help="metrics.json of gld2 evaluate, to show it")
    args = parser.parse_args(argv)
    print(f"report: {report(Output(args.output), args.job_dir, args.metrics)}")
    return 0
