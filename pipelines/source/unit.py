"""Records of a unit of the download: its source, parameters, summary and failure."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.reasons import Reason, Rejected


@dataclasses.dataclass(frozen=True)
class Unit:
    """One source archive, or a block of loose photos or of URLs.

    A unit is fetched and staged as a whole.

    Attributes:
      name: names its output files; unique over all splits.
      split: train, index or test.
      source: URL or path of a tar, the root folder of loose photos, or the CSV
        that lists the URLs.
      md5_source: URL or path of the published MD5 of a tar, or None.
      ids: of the photos, where they are loose or behind URLs; None for a tar.
      urls: of the photos, in the order of `ids`, where they are fetched by URL.
    """

    name: str
    split: str
    source: str
    md5_source: str | None = None
    ids: tuple[str, ...] | None = None
    urls: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class RecordParameters:
    """The parameters that, with its source, determine the bytes of a unit's output.

    Attributes:
      normal: how photos are normalised.
      limit: number of images of each unit that are used, from its start; None for all.
      max_bytes: largest size of a source file; a larger file is rejected.
    """

    normal: NormalizationConfig
    limit: int | None = None
    max_bytes: int = 64 << 20


@dataclasses.dataclass(frozen=True)
class UnitSummary:
    """The content of staged/<unit>.done.json: counts and digests of a staged unit.

    Attributes:
      unit: its name.
      split: train, index or test.
      source: as in Unit.
      md5: of the tar, 32 hex digits, or None where it was not read whole.
      images: number of images, staged or rejected.
      staged: number of images that became records.
      rejected: number of rejected images by reason.
      bytes: total size of the source photos.
      parameters: with which it was staged.
      facts_sha256: of its file of facts, 64 hex digits.
      published_md5: another md5 that is published, where `--accept_md5` took the tar; else None.
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
    published_md5: str | None = None


@dataclasses.dataclass(frozen=True)
class UnitFailure:
    """A unit that could not be staged; the next run tries it again.

    Attributes:
      unit: its name.
      split: train, index or test.
      reason: why it could not be staged.
      detail: what was expected and what was found, for a person to read.
    """

    unit: str
    split: str
    reason: Reason
    detail: str


TRANSIENT = (Reason.UNREACHABLE,)  # reasons that may be gone in a later run


class BadUnit(Rejected):
    """An error of a unit whose fetched content is wrong; another fetch may give the right one."""
