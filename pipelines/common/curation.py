"""decisions/done.json: what curate was told, and what it counted"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

RADIUS = 7  # bits; the widest that multi-index hashing finds without a miss


@dataclasses.dataclass(frozen=True)
class Filters:
    """What a train image has to be. Test images are never filtered.

    Attributes:
      min_side: pixels of the source's shorter side.
      max_aspect: its longer side over its shorter side.
      min_entropy: bits, of its grey levels.
      clean_only: only what the clean list has.
      licences: its licence contains one of these; empty takes any.
      excluded_authors: its author is none of these.
      categories: its landmark is of one of these; empty takes any.
    """

    min_side: int = 32
    max_aspect: float = 5.0
    min_entropy: float = 1.0
    clean_only: bool = False
    licences: tuple[str, ...] = ()
    excluded_authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def needs_credits(self) -> bool:
        return bool(self.licences or self.excluded_authors)


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What decisions depend on, beside facts and metadata.

    Attributes:
      min_images_per_class: a landmark with fewer images left is dropped.
      validation_share: of the images; None takes one of each landmark that can spare it.
      seed: of the choice of validation images.
      near_duplicate_radius: bits in which the hashes of like photos may differ; None for files
        of the same bytes only.
      on_conflict: what becomes of a photo under several landmarks, one of duplicates.CONFLICTS.
      against: the splits whose photos may not be in train.
      filters: which train images are kept.
    """

    min_images_per_class: int
    validation_share: float | None
    seed: int
    near_duplicate_radius: int | None = RADIUS
    on_conflict: str = "keep_clean"
    against: tuple[str, ...] = ("test",)
    filters: Filters = dataclasses.field(default_factory=Filters)


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
    parameters: Parameters
    inputs: str
    decisions_sha256: list[str]
    pairs: dict[str, PairCounts] = dataclasses.field(default_factory=dict)
