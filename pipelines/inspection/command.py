"""gld2 inspect: the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common import quiet
from pipelines.common.options.command_line import Command
from pipelines.inspection.options import InspectOptions

COMMAND = Command(
    "inspect",
    InspectOptions,
    "Look at a dataset: counts, class sizes, a contact sheet of random records; "
    "with --verify, at every byte of it. Exits with 1 where something is wrong.",
    """\
examples:
  gld2 inspect OUT/dataset                      # counts, classes.png and photos.jpg
  gld2 inspect OUT/dataset/gld2/1.0.0 --verify  # and every CRC, JPEG, label and sum
  gld2 inspect gs://bucket/gld2/dataset --output look --seed 7

What is wrong is told a line each, with the file and, from 0, the record's number in it. Behind
a length that is garbled the next frame is searched for, and what lies between counts as one.
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 where something is wrong with the dataset."""
    options = COMMAND.parse(argv)
    quiet.beam()
    from pipelines.inspection.inspect import inspect  # Pillow, which is slow to import

    return 1 if inspect(options) else 0
