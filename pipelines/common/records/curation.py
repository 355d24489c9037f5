"""decisions/done.json: what curate was told, and what it counted."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pipelines.common.options.curation import CurateOptions


@dataclasses.dataclass(frozen=True)
class WhatIf:
    """What another threshold would leave to train on.

    Attributes:
      min_images_per_class: the threshold.
      images, classes: that have enough.
    """

    min_images_per_class: int
    images: int
    classes: int


@dataclasses.dataclass(frozen=True)
class PairCounts:
    """What the search for near duplicates met by one hash.

    Attributes:
      photos: that were searched.
      near: pairs within the radius, before the finer hash looks; one may be met several times.
      pairs: of them, those that the finer hash finds alike too, each once.
      crowded: photos that were compared with some of their like only.
    """

    photos: int
    near: int
    pairs: int
    crowded: int


@dataclasses.dataclass(frozen=True)
class Curation:
    """What curate writes last.

    Attributes:
      funnel: images, dropped/<split>/<reason>, kept/<split>, bytes/<split> -> how many.
      unseen: what in metadata is repeated, contradicts itself or has no image -> how many.
      classes_before, classes: landmarks seen, landmarks kept.
      what_if: for some thresholds, the lowest first.
      parameters: what decisions depend on.
      inputs: digest of facts and metadata.
      decisions_sha256: of each file of decisions, in their order.
      pairs: by hash; empty where none were looked for.
    """

    REMEDY: ClassVar[str] = "remove it and run gld2 curate again"

    funnel: dict[str, int]
    unseen: dict[str, int]
    classes_before: int
    classes: int
    what_if: list[WhatIf]
    parameters: CurateOptions
    inputs: str
    decisions_sha256: list[str]
    pairs: dict[str, PairCounts] = dataclasses.field(default_factory=dict)
