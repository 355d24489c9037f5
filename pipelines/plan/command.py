"""gld2 plan: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.plan.options import PlanOptions

COMMAND = Command(
    "plan",
    PlanOptions,
    "What all of GLDv2 takes in bytes, hours, workers and dollars, from what a photo costs on "
    "this machine, the counts of a source and a table of prices. Nothing is prepared.",
    """\
examples:
  # GLDv2 as it is published, within six hours; a photo's cost is measured first
  gld2 plan --deadline 6h --output plan.md

  # another source, other prices, the cost as it was measured before
  gld2 plan --source gs://bucket/landmarks --prices mine.csv --calibration calibration.json
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options = COMMAND.parse(argv)
    from pipelines.plan import calibrate, markdown, rates  # Beam, for which --help should not wait
    from pipelines.plan.source_counts import count_source
    from pipelines.plan.stage_costs import PUBLISHED
    from pipelines.storage import filesystem

    known = rates.read(options.prices)
    splits = count_source(options.source) if options.source else PUBLISHED
    text = markdown.render(options, splits, calibrate.known_or_measured(options.cost), known)
    print(text)
    if options.output:
        filesystem.write(options.output, text)
    return 0
