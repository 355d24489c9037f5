"""The flags of gld2 inspect."""

from __future__ import annotations

import dataclasses
import os

from pipelines.common.options import SeedOptions, flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectOptions(SeedOptions):
    """What is looked at, and how closely."""

    dataset: str = flag(
        about="OUT/dataset (its newest version), or a version folder",
        metavar="DATASET",
        positional=True,
    )
    output: str = flag("inspect", "folder for classes.png and photos.jpg, outside the dataset")
    verify: bool = flag(
        False, "read all: every CRC, whether each photo decodes, each label and id, all sums"
    )
    workers: int = flag(
        os.cpu_count() or 1,
        "processes that verify (default: the cores of this machine)",
        shown="",
        least=1,
    )
