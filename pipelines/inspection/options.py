"""The flags of gld2 inspect."""

from __future__ import annotations

import dataclasses
import os

from pipelines.common.options.flags import SeedOptions, flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectOptions(SeedOptions):
    """The flags of gld2 inspect.

    Attributes:
      dataset: folder of the dataset, or of one of its versions.
      output: folder that the pictures are written to.
      verify: whether every byte is read.
      workers: number of processes that verify.
    """

    dataset: str = flag(
        about="OUT/dataset (for its newest version), or the folder of a version",
        metavar="DATASET",
        positional=True,
    )
    output: str = flag("inspect", "folder for classes.png and photos.jpg; not in the dataset")
    verify: bool = flag(False, "read every byte: check all CRCs, photos, labels, ids and sums")
    workers: int = flag(
        os.cpu_count() or 1,
        "number of processes that verify (default: the cores of this machine)",
        shown="",
        least=1,
    )
