"""A unit of the download: what is fetched, staged, and done or not done, as a whole."""

from __future__ import annotations

import dataclasses

from pipelines.common.reasons import Reason
from pipelines.imaging.config import NormalizationConfig


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


TRANSIENT = (Reason.UNREACHABLE,)  # reasons that another day may mend


class BadUnit(ValueError):
    """A unit that was fetched but is not what it should be; another fetch may mend it."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
