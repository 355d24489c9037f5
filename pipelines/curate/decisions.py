"""Decides on tables which images are kept, under which label, and why others are not. No Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from pipelines.common import schema
from pipelines.common.options.curation import CurateOptions
from pipelines.common.reasons import Reason
from pipelines.common.records.curation import WhatIf
from pipelines.curate import validation_split
from pipelines.curate.filters import mark
from pipelines.curate.vocabulary import Labels
from pipelines.storage import parquet

# Only the columns that decisions need are shuffled: no URL, and no hash but the SHA-256.
PLACE = ("id", "split", "unit", "offset", "length", "status", "reason", "sha256", "bytes")
SIZE = ("width", "height")
FACTS = {name: schema.FACTS[name] for name in (*PLACE, *SIZE, "entropy")}
WORK = {name: FACTS[name] for name in (*PLACE, *SIZE)} | {
    "landmark_id": "int64",
    "clean": "bool",
    "duplicate_of": "string",
}
# The columns that later steps need once duplicates are found.
DEDUPED = {
    name: WORK[name]
    for name in ("id", "split", "unit", "offset", "length", "reason", "landmark_id", "duplicate_of")
}
FINAL = DEDUPED | {"keep": "bool", "label": "int64"}
TRAIN = {name: FINAL[name] for name in ("id", "landmark_id", "reason", "label")}
KEPT = {"label": "int64", "landmark_id": "int64", "images": "int64"}


def label(images: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Adds the labels of train images, and rejects those whose landmark has none.

    Args:
      images: columns DEDUPED.
      labels: the landmarks that have a label.

    Returns:
      Columns FINAL.
    """
    images = images.copy()
    found = labels.lookup(images["landmark_id"])
    train = images["split"] == "train"
    mark(images, train & found.isna(), Reason.RARE_CLASS)
    images["keep"] = images["reason"].isna()
    images["label"] = found.where(images["keep"] & train)
    return typed(images, FINAL)


@dataclasses.dataclass
class Classes:
    """Counts and the validation choice of some landmarks, over all their images.

    Attributes:
      seen: number of landmarks.
      kept: columns KEPT of the landmarks that are kept.
      sizes: number of images of a landmark, before rare ones are dropped -> number of landmarks.
      validation: ids of the images that are moved to validation.
    """

    seen: int
    kept: pd.DataFrame
    sizes: dict[int, int]
    validation: pd.Series


def classes(train: pd.DataFrame, parameters: CurateOptions) -> Classes:
    """Counts landmarks, and chooses the images that are moved to validation.

    Args:
      train: columns TRAIN of all train images of some landmarks.
      parameters: how validation is chosen.
    """
    kept = train[train["reason"].isna()].sort_values("id", ignore_index=True)
    enough = train[train["reason"].isna() | (train["reason"] == Reason.RARE_CLASS)]
    chosen = validation_split.choose_validation(kept, parameters.validation_share, parameters.seed)
    return Classes(
        train["landmark_id"].nunique(),
        kept.groupby(["label", "landmark_id"]).size().rename("images").reset_index(),
        enough["landmark_id"].value_counts().value_counts().to_dict(),
        kept.loc[chosen, "id"],
    )


def to_validation(images: pd.DataFrame, chosen: Iterable[Classes]) -> pd.DataFrame:
    """Returns the images with those that were chosen moved to the split validation."""
    ids = pd.concat([parquet.empty(TRAIN)["id"], *(some.validation for some in chosen)])
    moves = images["keep"] & (images["split"] == "train") & images["id"].isin(ids)
    return images.assign(split=images["split"].mask(moves, schema.VALIDATION))


def what_if(sizes: Mapping[int, int], thresholds: Iterable[int]) -> list[WhatIf]:
    """Returns the images and classes that each threshold of images per class would leave.

    Args:
      sizes: number of images of a landmark -> number of landmarks.
      thresholds: least numbers of images per class.
    """
    found = []
    for least in sorted(set(thresholds)):
        left = {size: number for size, number in sizes.items() if size >= least}
        images = sum(size * number for size, number in left.items())
        found.append(WhatIf(least, images, sum(left.values())))
    return found


def funnel(images: pd.DataFrame) -> Iterator[tuple[str, int]]:
    """Yields the counts images, dropped/<split>/<reason>, kept/<split> and bytes/<split>."""
    yield "images", len(images)
    for (reason, name), rows in images.groupby(["reason", "split"], dropna=True):
        yield f"dropped/{name}/{reason}", len(rows)
    for name, rows in images[images["keep"]].groupby("split"):
        yield f"kept/{name}", len(rows)
        yield f"bytes/{name}", int(rows["length"].sum())


def typed(images: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Returns exactly these columns, each cast to its type."""
    return images[list(columns)].astype(parquet.empty(columns).dtypes.to_dict())
