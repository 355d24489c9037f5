"""gld2 download: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import BEAM_NOTE
from pipelines.common.paths import Output
from pipelines.download.options import DownloadOptions

COMMAND = Command(
    "download",
    DownloadOptions,
    "Fetch photos, check their md5, make them upright RGB JPEGs of a bounded size, and "
    "write them as TFRecords (staged/) with a row of facts for each (facts/).",
    BEAM_NOTE
    + """\
  gld2 download --source https://s3.amazonaws.com/google-landmark --output OUT --archives 0-1
  gld2 download --source ~/landmarks --output OUT --direct_num_workers=2 \\
      --direct_running_mode=multi_processing
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options, flags = COMMAND.parse_known(argv)
    from pipelines.download import pipeline  # Beam, for which --help should not wait
    from pipelines.download.inputs import find_source, staging_options
    from pipelines.runner.options import beam_options

    beams = beam_options(COMMAND.name, flags)
    source = find_source(options)
    staging = staging_options(options, beams)
    output, allowed = Output(options.output.output), options.incomplete.allow_incomplete
    pipeline.download(source, output, options.records, staging, beams, allowed)
    return 0
