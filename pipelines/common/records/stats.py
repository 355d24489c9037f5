"""stats.json of a dataset version: its counts, and how it was made."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pipelines.common.options.normalization import NormalizationConfig

STATS = "stats.json"


@dataclasses.dataclass(frozen=True)
class Split:
    """How much a split holds.

    Attributes:
      images: in all shards.
      shards: how many.
      bytes: of all shards.
      shard_lengths: images of each shard; None where an older version did not count them.
    """

    images: int
    shards: int
    bytes: int
    shard_lengths: list[int] | None = None


@dataclasses.dataclass(frozen=True)
class Stats:
    """What `gld2 shard` writes last; older versions lack what has a default here.

    Attributes:
      photos: how they were normalised, for whoever scores others in the same way.
      splits: by name; a split without images is absent.
      version: such as 1.0.0.
      seed: of the order.
      inputs: digest of all that decides the bytes.
      classes: rows of labels.csv.
      mean, std: of the three channels, from 0 to 1.
      channels_of: photos that mean and std are from.
      attribution: whether records hold attributions.
      missing: names of units of the source that could not be staged.
    """

    REMEDY: ClassVar[str] = "remove its folder and run gld2 shard again"

    photos: NormalizationConfig
    splits: dict[str, Split]
    version: str
    seed: int
    inputs: str
    classes: int | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    channels_of: int | None = None
    attribution: bool = False
    missing: list[str] = dataclasses.field(default_factory=list)


# ---- the part that training needs: a dataset made by hand may have no more ------------------


@dataclasses.dataclass(frozen=True)
class SplitSize:
    """How much a split holds, as far as it is told; see Split."""

    images: int
    bytes: int | None = None
    shard_lengths: list[int] | None = None


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Splits by name, and rows of labels.csv; see Stats."""

    REMEDY: ClassVar[str] = Stats.REMEDY

    splits: dict[str, SplitSize]
    classes: int | None = None
