"""Joins facts with metadata by image id, and filters the images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import apache_beam as beam
import numpy as np
import pandas as pd

from pipelines.common.options.curation import FilterOptions
from pipelines.common.reasons import Reason
from pipelines.curate import decisions
from pipelines.curate.filters import CREDITS, allowed_landmarks, drop, mark, read_credits
from pipelines.runner import partition
from pipelines.runner.transform import Transform
from pipelines.source import metadata_csv
from pipelines.source.discover import Source
from pipelines.storage import parquet

Counts = dict[str, int]


@dataclasses.dataclass
class Join(Transform):
    """Turns tables of facts into (partition, table of WORK) and counts of metadata problems.

    Attributes:
      source: whose metadata is joined; from `inputs.with_filters`, with the CSVs of the filters.
      filters: which train images are kept.
      parts: number of partitions by id.
    """

    source: Source
    filters: FilterOptions
    parts: int

    def expand(self, facts):
        """Returns two PCollections: (partition, table of WORK), and dicts of counts."""
        by_id = partition.by_hex("id", self.parts)
        keyed = {
            name: table | f"Split_{name}" >> beam.FlatMap(partition.split, by_id)
            for name, table in {"facts": facts, **self._metadata(facts.pipeline)}.items()
        }
        allowed = (
            facts.pipeline
            | "CategoriesCsv" >> beam.Create([self.source.categories_csv])
            | "Allowed" >> beam.Map(allowed_landmarks, self.filters.categories)
        )  # [landmarks] int64, or None
        joined = (
            keyed
            | "GroupById" >> beam.CoGroupByKey()  # (partition, {name: [table]})
            | "Join" >> beam.Map(_join, self.filters, beam.pvalue.AsSingleton(allowed))
        )  # (partition, table, counts)
        return (
            joined | "Joined" >> beam.MapTuple(lambda part, table, _: (part, table)),
            joined | "Counts" >> beam.MapTuple(lambda part, table, counts: counts),
        )

    def _metadata(self, pipeline):
        def rows(name, path, read, *args):
            return (
                pipeline
                | f"{name}Csv" >> beam.Create([path] if path else [])
                | f"Read{name}" >> beam.FlatMap(read, *args)
            )  # table

        return {
            "train": rows("Train", self.source.train_csv, metadata_csv.train_rows),
            "clean": rows("Clean", self.source.clean_csv, metadata_csv.clean_ids),
            "credits": rows("Credits", self.source.attribution_csv, read_credits, self.filters),
        }


def join(
    facts: Iterable[pd.DataFrame],
    train: Iterable[pd.DataFrame],
    clean: Iterable[pd.DataFrame],
    credits: Iterable[pd.DataFrame],
    filters: FilterOptions,
    allowed: np.ndarray | None = None,
) -> tuple[pd.DataFrame, Counts]:
    """Joins the tables of one partition by id; their rows may be in any order.

    Args:
      facts: of the images; columns decisions.FACTS.
      train: rows of train.csv.
      clean: ids and landmarks of train_clean.csv.
      credits: attributions; columns filters.CREDITS.
      filters: which train images are kept.
      allowed: landmark ids of the categories asked for; None for any.

    Returns:
      a row of WORK for each row of facts, with landmark_id, clean and reason; and counts of
      metadata rows that are repeated, contradict each other or have no image.
    """
    rows = _concat(train, metadata_csv.TRAIN)
    landmarks = rows.drop_duplicates()  # several rows for an id: several landmarks
    listed = _concat(clean, metadata_csv.CLEAN_IDS)
    cleans = _compared(listed.drop_duplicates(), landmarks)
    images = _concat(facts, decisions.FACTS)
    images = images.sort_values(["id", "split", "unit", "offset"], ignore_index=True)
    images = images.merge(landmarks.drop_duplicates("id", keep=False), on="id", how="left")
    images = images.merge(_combined(credits), on="id", how="left")
    is_train = images["split"] == "train"
    images["landmark_id"] = images["landmark_id"].where(is_train)
    images["clean"] = is_train & images["id"].isin(cleans.loc[cleans["agrees"], "id"])
    images["duplicate_of"] = None
    _mark_unusable(images, landmarks)
    images = drop(images, filters, allowed)
    counts = _train_counts(rows, landmarks) | _clean_counts(listed, cleans)
    counts |= _image_counts(images[is_train], landmarks, cleans, filters)
    return decisions.typed(images, decisions.WORK), counts


def _join(keyed, filters, allowed):
    part, found = keyed
    return part, *join(**found, filters=filters, allowed=allowed)


def _mark_unusable(images: pd.DataFrame, landmarks: pd.DataFrame) -> None:
    """Marks, before any filter, the images that cannot be trained on."""
    is_train, in_csv = images["split"] == "train", images["id"].isin(landmarks["id"])
    mark(images, is_train & ~in_csv, Reason.NO_LANDMARK)
    mark(images, is_train & images["landmark_id"].isna(), Reason.SEVERAL_LANDMARKS)
    readable = images[images["reason"].isna()]
    mark(images, readable.duplicated(["split", "id"]), Reason.REPEATED_ID)
    mark(images, images["split"] == "index", Reason.REFERENCE)


def _compared(cleans: pd.DataFrame, landmarks: pd.DataFrame) -> pd.DataFrame:
    """Compares the clean list with train.csv: columns id, known, agrees; each id once.

    An id is known where train.csv has it, and agrees where the clean list gives it one landmark,
    the same as train.csv.
    """
    both = cleans.merge(landmarks, on=list(metadata_csv.TRAIN), how="left", indicator="found")
    both["agrees"] = both["found"] == "both"
    both["known"] = both["id"].isin(landmarks["id"])
    return both.groupby("id", as_index=False)[["known", "agrees"]].all()


def _combined(credits: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Returns one row for each id; where an id has several attributions, all have to pass."""
    by_id = _concat(credits, CREDITS).groupby("id", as_index=False)
    return by_id.agg({"licensed": "all", "excluded": "any"})


# ---- counts of metadata problems: summary prints the keys with spaces for underscores --------


def _train_counts(rows: pd.DataFrame, landmarks: pd.DataFrame) -> Counts:
    several = landmarks.loc[landmarks["id"].duplicated(), "id"]
    return {
        "train_rows_repeated": len(rows) - len(landmarks),
        "train_ids_of_several_landmarks": several.nunique(),
    }


def _clean_counts(listed: pd.DataFrame, cleans: pd.DataFrame) -> Counts:
    return {
        "clean_ids_repeated": len(listed) - len(cleans),
        "clean_ids_not_in_train": int((~cleans["known"]).sum()),
        "clean_ids_of_another_landmark": int((cleans["known"] & ~cleans["agrees"]).sum()),
    }


def _image_counts(
    images: pd.DataFrame, landmarks: pd.DataFrame, cleans: pd.DataFrame, filters: FilterOptions
) -> Counts:
    uncredited = images["licensed"].isna() if filters.needs_credits else pd.Series(dtype=bool)
    return {
        "train_rows_without_image": int((~landmarks["id"].isin(images["id"])).sum()),
        "clean_ids_without_image": int((~cleans["id"].isin(images["id"])).sum()),
        "images_without_attribution": int(uncredited.sum()),
    }


def _concat(found: Iterable[pd.DataFrame], columns: Mapping[str, str]) -> pd.DataFrame:
    """Returns one table of all rows, in no particular order; its columns are there without rows."""
    return pd.concat([parquet.empty(columns), *found], ignore_index=True)
