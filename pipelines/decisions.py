"""Which images are kept, under which label, and why not: functions over columns. No Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from pipelines import metadata, schema, split, tables
from pipelines.schema import Reason, UserError
from pipelines.vocabulary import Labels

# What decides travels alone: no URL, no hash but the one that is compared.
FACTS = {
    name: schema.FACTS[name]
    for name in ("id", "split", "unit", "offset", "length", "status", "reason", "sha256", "bytes")
}
WORK = FACTS | {"landmark_id": "int64", "clean": "bool", "duplicate_of": "string"}
FINAL = WORK | {"keep": "bool", "label": "int64"}


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What decisions depend on, beside facts and metadata."""

    min_images_per_class: int
    validation_share: float | None
    seed: int


def join(
    facts: Iterable[pd.DataFrame], train: Iterable[pd.DataFrame], clean: Iterable[pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Facts with their landmark and whether the clean list has them.

    Args:
      facts, train, clean: the tables of one partition by id, in any order.

    Returns:
      a row for each row of facts, and how many rows of metadata have no image.

    Raises:
      UserError: train.csv lists an id twice.
    """
    images = _concat(facts, FACTS)
    landmarks = _concat(train, metadata.TRAIN)
    listed = _concat(clean, metadata.IDS)["id"].drop_duplicates()
    twice = landmarks.loc[landmarks["id"].duplicated(), "id"]
    if len(twice):
        raise UserError(f"train.csv: expected each id once, found {twice.min()} again")
    images = images.sort_values(["id", "split", "unit", "offset"], ignore_index=True)
    images = images.merge(landmarks, on="id", how="left")
    is_train = images["split"] == "train"
    images["landmark_id"] = images["landmark_id"].where(is_train)
    images["clean"] = (is_train & images["id"].isin(listed)).astype("bool[pyarrow]")
    images["duplicate_of"] = pd.array([None] * len(images), _dtypes(WORK)["duplicate_of"])
    _mark(images, is_train & images["landmark_id"].isna(), Reason.NO_LANDMARK)
    readable = images["reason"].isna()
    _mark(images, images[readable].duplicated(["split", "id"]), Reason.REPEATED_ID)
    seen = images.loc[is_train, "id"]
    unseen = {
        "train_rows_without_image": int((~landmarks["id"].isin(seen)).sum()),
        "clean_ids_without_image": int((~listed.isin(seen)).sum()),
    }
    return images.astype(_dtypes(WORK)), unseen


def decide(images: pd.DataFrame, labels: Labels, parameters: Parameters) -> pd.DataFrame:
    """Labels, the threshold and validation, for all images of some landmarks."""
    images = images.copy()
    label = labels.lookup(images["landmark_id"])
    train = images["split"] == "train"
    _mark(images, train & label.isna(), Reason.RARE_CLASS)
    images["keep"] = images["reason"].isna()
    images["label"] = label.where(images["keep"] & train)
    images = split.assign_validation(images, parameters.validation_share, parameters.seed)
    return images.astype(_dtypes(FINAL))


def classes(images: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    """How many landmarks there were, and label, landmark_id and images of those that stay."""
    kept = images[images["label"].notna()]
    counted = kept.groupby(["label", "landmark_id"]).size().rename("images").reset_index()
    return images["landmark_id"].nunique(), counted


def funnel(images: pd.DataFrame) -> Iterator[tuple[str, int]]:
    """Counts: images, dropped/<split>/<reason>, kept/<split>, bytes/<split>."""
    yield "images", len(images)
    for (reason, name), rows in images.groupby(["reason", "split"], dropna=True):
        yield f"dropped/{name}/{reason}", len(rows)
    for name, rows in images[images["keep"]].groupby("split"):
        yield f"kept/{name}", len(rows)
        yield f"bytes/{name}", int(rows["length"].sum())


def _concat(found: Iterable[pd.DataFrame], columns: Mapping[str, str]) -> pd.DataFrame:
    """One table of all rows, in no particular order, with its columns even where it has no row."""
    return pd.concat([tables.empty(columns), *found], ignore_index=True)


def _mark(images: pd.DataFrame, rows: pd.Series, reason: Reason) -> None:
    """Gives `reason` to those of `rows` that have none yet."""
    rows = rows.reindex(images.index, fill_value=False).fillna(False).astype(bool)
    images.loc[rows & images["reason"].isna(), "reason"] = str(reason)


def _dtypes(columns: dict[str, str]) -> dict[str, Any]:
    return tables.empty(columns).dtypes.to_dict()
