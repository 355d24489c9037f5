"""The command line of gld2 sample."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import Options, OutputOptions, flag, group
from pipelines.sample.config import World


@dataclasses.dataclass(frozen=True)
class SampleOptions(Options):
    """The flags of gld2 sample.

    Attributes:
      output: the folder to write to.
      world: what to generate.
      workers: processes that draw photos.
    """

    output: OutputOptions = group()
    world: World = group()
    workers: int = flag(min(2, os.cpu_count() or 1), "processes that draw photos", least=1)


COMMAND = Command(
    "sample",
    SampleOptions,
    "Write a small generated Google Landmarks Dataset v2, in the published layout, with "
    "duplicates, wrong labels and broken files in it.",
    """\
examples:
  gld2 sample --output world
  gld2 sample --output world --train_images 300 --seed 1
""",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a world and prints how much of everything is in it; returns 0."""
    options = COMMAND.parse(argv)
    from pipelines.sample.writer import write_world  # imports Pillow, which --help does not need

    summary = write_world(options.output.output, options.world, options.workers)
    for name, count in summary.counts().items():
        print(f"{name:20} {count:6}")
    return 0
