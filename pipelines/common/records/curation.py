"""decisions/done.json: what curate was told, and what it counted."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator
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
      missing: names of units that could not be staged.
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
    missing: list[str] = dataclasses.field(default_factory=list)

    @property
    def images(self) -> int:
        """Returns the number of images that were decided on."""
        return self.funnel.get("images", 0)

    @property
    def kept(self) -> dict[str, int]:
        """Returns the number of kept images of each split that has any."""
        return {split: images for (split,), images in self._counts("kept")}

    @property
    def dropped(self) -> collections.Counter[tuple[str, str]]:
        """Returns the number of dropped images by split and reason."""
        counts = self._counts("dropped")
        return collections.Counter({(split, reason): images for (split, reason), images in counts})

    @property
    def dropped_by_reason(self) -> collections.Counter[str]:
        """Returns the number of dropped images by reason, over all splits."""
        total: collections.Counter[str] = collections.Counter()
        for (_, reason), images in self.dropped.items():
            total[reason] += images
        return total

    def _counts(self, what: str) -> Iterator[tuple[list[str], int]]:
        """Yields the rest of each key of the funnel that begins with `what`, and its count."""
        for key, images in self.funnel.items():
            first, *names = key.split("/")
            if first == what:
                yield names, images
