"""Filters train images by size, content and metadata. Functions over columns. No Beam."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.common.errors import UserError
from pipelines.common.options.curation import FilterOptions
from pipelines.common.reasons import Reason
from pipelines.source import metadata_csv
from pipelines.storage import parquet

CREDITS = {"id": "string", "licensed": "bool", "excluded": "bool"}
CATEGORY_COLUMNS = ("category", "supercategory", "hierarchical_label", "natural_or_human_made")


def mark(images: pd.DataFrame, rows: pd.Series, reason: Reason) -> None:
    """Sets `reason` of those of `rows` that have none yet: an image keeps its first reason."""
    rows = rows.reindex(images.index, fill_value=False).fillna(False).astype(bool)
    images.loc[rows & images["reason"].isna(), "reason"] = str(reason)


def drop(
    images: pd.DataFrame, filters: FilterOptions, allowed: np.ndarray | None = None
) -> pd.DataFrame:
    """Marks the train images that a filter drops.

    Args:
      images: columns split, reason, width, height, entropy, clean, landmark_id, and
        those of CREDITS where the filters need them (null: no attribution).
      filters: what to keep.
      allowed: landmark ids of the categories asked for; None for any.

    Returns:
      the same rows with `reason` set where an image is dropped.
    """
    images = images.copy()
    train = images["split"] == "train"
    for reason, rows in _drops(images, filters, allowed):
        mark(images, train & rows, reason)
    return images


def _drops(
    images: pd.DataFrame, filters: FilterOptions, allowed: np.ndarray | None
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


def read_credits(path: str, filters: FilterOptions) -> Iterator[pd.DataFrame]:
    """Yields blocks of the attribution CSV as columns CREDITS.

    Licences and authors are matched here, so that no free text is shuffled between workers.
    """
    licences = "|".join(map(re.escape, filters.licences))
    authors = _normalized(pa.array(filters.excluded_authors, pa.string()))
    for table in metadata_csv.blocks(path, metadata_csv.ATTRIBUTION):
        licensed = pc.match_substring_regex(table["license"], licences, ignore_case=True)
        excluded = pc.is_in(_normalized(table["author"]), authors)
        columns = {"id": table["id"], "licensed": licensed, "excluded": excluded}
        yield parquet.frame(pa.table(columns))


def allowed_landmarks(path: str | None, categories: Sequence[str]) -> np.ndarray | None:
    """Returns the ids of the landmarks in the categories; None where every landmark is allowed.

    Raises:
      UserError: a category has no landmark, which is most likely a typing error.
    """
    if not path or not categories:
        return None
    names = [name for name in CATEGORY_COLUMNS if name in metadata_csv.header(path)]
    columns = {"landmark_id": "int64"} | dict.fromkeys(names, "string")
    blocks = map(parquet.frame, metadata_csv.blocks(path, columns))
    landmarks = pd.concat([parquet.empty(columns), *blocks], ignore_index=True)
    # In Python, as Arrow cannot decode %C3%A9; there is one row a landmark, not one an image.
    found = landmarks[names].apply(lambda column: column.map(category_name))
    for category in categories:
        if not found.isin([category_name(category)]).any(axis=None):
            raise UserError(f"--categories: expected a category of {path}, found {category!r}")
    chosen = found.isin([category_name(category) for category in categories]).any(axis=1)
    return landmarks.loc[chosen, "landmark_id"].unique().to_numpy(np.int64)


def category_name(text: str) -> str:
    """Returns the plain name of a category: `http://.../Category:Eiffel_Tower` is eiffel tower."""
    title = urllib.parse.unquote(text.rpartition("Category:")[2])
    return title.replace("_", " ").strip().casefold()


def _normalized(names: pa.Array) -> pa.Array:
    return pc.utf8_lower(pc.utf8_trim_whitespace(names))
