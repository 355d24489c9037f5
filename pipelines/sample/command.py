"""gld2 sample: the command line"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from pipelines.sample.world import World
from pipelines.sample.writer import write


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a world and prints what is in it."""
    parser = argparse.ArgumentParser("gld2 sample", description=__doc__)
    parser.add_argument("--output", required=True, help="folder to write to")
    for name in ("landmarks", "train_images", "test_images", "dirt", "seed"):
        parser.add_argument(
            f"--{name}", type=int, default=getattr(World, name), help="(%(default)s)"
        )
    parser.add_argument(
        "--workers", type=int, default=min(2, os.cpu_count() or 1), help="(%(default)s)"
    )
    flags = vars(parser.parse_args(argv))
    output, workers = flags.pop("output"), flags.pop("workers")
    summary = write(output, World(**flags), workers)
    for name, count in summary.counts().items():
        print(f"{name:20} {count:6}")
    return 0
