"""gld2 curate: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import BEAM_NOTE
from pipelines.common.paths import Output
from pipelines.curate.options import CurateCommandOptions

COMMAND = Command(
    "curate",
    CurateCommandOptions,
    "Decide over facts, not pixels: join the landmarks, drop duplicates and rare landmarks, "
    "choose validation images and number the classes. Runs again in minutes.",
    BEAM_NOTE
    + """\
  gld2 curate --source https://s3.amazonaws.com/google-landmark --output OUT
  gld2 curate --source ROOT --output OUT --min_images_per_class 10 --validation 0.02
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options, flags = COMMAND.parse_known(argv)
    from pipelines.curate import pipeline  # Beam, for which --help should not wait
    from pipelines.curate.inputs import with_filters
    from pipelines.runner.options import beam_options
    from pipelines.source.discover import discover_metadata
    from pipelines.source.staged_units import print_absent

    beams = beam_options(COMMAND.name, flags)
    source = discover_metadata(options.source.source)
    print_absent(source)
    source = with_filters(source, options.curate.filters)
    output = Output(options.output.output)
    allowed = options.incomplete.allow_incomplete
    pipeline.curate(source, output, options.splits.split, options.curate, beams, allowed)
    return 0
