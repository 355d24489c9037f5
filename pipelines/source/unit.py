"""A unit of the download: what is fetched, staged, and done or not done, as a whole."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.reasons import Reason


@dataclasses.dataclass(frozen=True)
class Unit:
    """One source archive, or a block of loose photos or of URLs.

    Attributes:
      name: of its output files; unique over splits.
      split: train, index or test.
      source: URL or path of a tar, the root folder of loose photos, or the CSV
        that the URLs came from.
      md5_source: URL or path of the published digest of a tar.
      ids: of the photos, where they are loose or behind URLs; None for a tar.
      urls: of the photos, beside `ids`, where they are fetched from their URLs.
    """

    name: str
    split: str
    source: str
    md5_source: str | None = None
    ids: tuple[str, ...] | None = None
    urls: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class RecordParameters:
    """What the bytes of a unit's output depend on, beside its source.

    Attributes:
      normal: how photos are normalised.
      limit: the first so many images of each unit, or None for all.
      max_bytes: of one source file; a larger one is rejected.
    """

    normal: NormalizationConfig
    limit: int | None = None
    max_bytes: int = 64 << 20


@dataclasses.dataclass(frozen=True)
class UnitSummary:
    """What staged/<unit>.done.json says of a unit that is staged.

    Attributes:
      unit: its name.
      split: train, index or test.
      source: as of Unit.
      md5: of the tar, 32 hex, where one was published.
      images: in all: staged or rejected.
      staged: that became records.
      rejected: by reason.
      bytes: of the source's photos.
      parameters: that it was staged with.
      facts_sha256: of its facts' file, 64 hex.
    """

    REMEDY: ClassVar[str] = "remove it and run gld2 download again"

    unit: str
    split: str
    source: str
    md5: str | None
    images: int
    staged: int
    rejected: dict[str, int]
    bytes: int
    parameters: RecordParameters
    facts_sha256: str


@dataclasses.dataclass(frozen=True)
class UnitFailure:
    """A unit that could not be staged; the next run tries it again.

    Attributes:
      unit: its name.
      split: train, index or test.
      reason: why.
      detail: what was expected and what came, for a person.
    """

    unit: str
    split: str
    reason: Reason
    detail: str


TRANSIENT = (Reason.UNREACHABLE,)  # reasons that another day may mend


class BadUnit(ValueError):
    """A unit that was fetched but is not what it should be; another fetch may mend it."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
