"""Which train images are kept for what they are and what is said of them. Over columns. No Beam."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.common.curation import Filters
from pipelines.common.errors import UserError
from pipelines.common.reasons import Reason
from pipelines.source import metadata_csv
from pipelines.storage import parquet

CREDITS = {"id": "string", "licensed": "bool", "excluded": "bool"}
SAYS = ("category", "supercategory", "hierarchical_label", "natural_or_human_made")


def mark(images: pd.DataFrame, rows: pd.Series, reason: Reason) -> None:
    """Gives `reason` to those of `rows` that have none yet: the first reason is the one told."""
    rows = rows.reindex(images.index, fill_value=False).fillna(False).astype(bool)
    images.loc[rows & images["reason"].isna(), "reason"] = str(reason)


def drop(images: pd.DataFrame, filters: Filters, allowed: np.ndarray | None = None) -> pd.DataFrame:
    """Marks the train images that a filter drops.

    Args:
      images: columns split, reason, width, height, entropy, clean, landmark_id, and
        those of CREDITS where the filters need them (null: no attribution).
      filters: what to keep.
      allowed: landmark ids of the categories asked for; None for any.

    Returns:
      the same rows with `reason` set where an image goes.
    """
    images = images.copy()
    train = images["split"] == "train"
    for reason, rows in _drops(images, filters, allowed):
        mark(images, train & rows, reason)
    return images


def _drops(
    images: pd.DataFrame, filters: Filters, allowed: np.ndarray | None
) -> Iterator[tuple[Reason, pd.Series]]:
    width, height, longest = images["width"], images["height"], filters.max_aspect
    yield Reason.TOO_SMALL, (width < filters.min_side) | (height < filters.min_side)
    yield Reason.EXTREME_ASPECT, (width > longest * height) | (height > longest * width)
    yield Reason.BLANK, images["entropy"] < filters.min_entropy
    if filters.clean_only:
        yield Reason.NOT_CLEAN, ~images["clean"]
    if filters.licences:
        yield Reason.LICENCE, ~images["licensed"].fillna(False)
    if filters.excluded_authors:
        yield Reason.AUTHOR, images["excluded"]
    if allowed is not None:
        yield Reason.CATEGORY, ~images["landmark_id"].isin(allowed)


def read_credits(path: str, filters: Filters) -> Iterator[pd.DataFrame]:
    """Blocks of the attributions, judged where they are read, so that no free text travels."""
    licences = "|".join(map(re.escape, filters.licences))
    authors = _plain(pa.array(filters.excluded_authors, pa.string()))
    for table in metadata_csv.blocks(path, metadata_csv.ATTRIBUTION):
        licensed = pc.match_substring_regex(table["license"], licences, ignore_case=True)
        excluded = pc.is_in(_plain(table["author"]), authors)
        columns = {"id": table["id"], "licensed": licensed, "excluded": excluded}
        yield parquet.frame(pa.table(columns))


def allowed_landmarks(path: str | None, categories: Sequence[str]) -> np.ndarray | None:
    """Ids of the landmarks that are of one of the categories; None where any will do.

    Raises:
      UserError: no landmark is of one of them, which is a slip of the pen.
    """
    if not path or not categories:
        return None
    names = [name for name in SAYS if name in metadata_csv.header(path)]
    columns = {"landmark_id": "int64"} | dict.fromkeys(names, "string")
    blocks = map(parquet.frame, metadata_csv.blocks(path, columns))
    landmarks = pd.concat([parquet.empty(columns), *blocks], ignore_index=True)
    # Of each landmark, not of each image: Arrow cannot decode %C3%A9.
    said = landmarks[names].apply(lambda column: column.map(category_name))
    for category in categories:
        if not said.isin([category_name(category)]).any(axis=None):
            raise UserError(f"--categories: expected what {path} names, found {category!r}")
    chosen = said.isin([category_name(category) for category in categories]).any(axis=1)
    return landmarks.loc[chosen, "landmark_id"].unique().to_numpy(np.int64)


def category_name(text: str) -> str:
    """`http://.../Category:Eiffel_Tower`, as a person writes it: eiffel tower."""
    title = urllib.parse.unquote(text.rpartition("Category:")[2])
    return title.replace("_", " ").strip().casefold()


def _plain(names: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.utf8_trim_whitespace(names))
