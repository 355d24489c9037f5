"""Selects photos for the report's contact sheets. Pure functions over columns of decisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from pipelines.common import schema
from pipelines.common.reasons import Reason
from pipelines.imaging import contact_sheet
from pipelines.storage import hashing, parquet

KEPT = "kept"
PHOTOS = 4 * contact_sheet.COLUMNS  # on a sheet without groups
LARGEST = 6  # groups of a reason, with at most two rows of photos
SAMPLED = 18  # groups of a reason, with at most one row of photos
SEED = 2020  # not 0, whose order chooses the validation images: they would fill the sheets

COLUMNS = {n: schema.DECISIONS[n] for n in ("id", "landmark_id", "reason", "duplicate_of", "split")}
SAMPLE = {n: COLUMNS[n] for n in ("id", "reason")}
REPEAT = {n: COLUMNS[n] for n in ("id", "reason", "duplicate_of")}


# ---- decisions, digested --------------------------------------------------------------------


@dataclasses.dataclass
class DecisionDigest:
    """The decisions of a dataset, condensed to fit in memory.

    Attributes:
      before, after: numbers of images seen, and of images kept, indexed by landmark_id.
      samples: columns SAMPLE; up to PHOTOS images of each reason, and of those kept.
      repeats: columns REPEAT; all images that duplicate another.
    """

    before: pd.Series
    after: pd.Series
    samples: pd.DataFrame
    repeats: pd.DataFrame


def digest(paths: Iterable[str]) -> DecisionDigest:
    """Reads files of decisions, one at a time, and condenses those on train and validation."""
    before = after = pd.Series(dtype="int64")
    samples, repeats = parquet.empty(SAMPLE), [parquet.empty(REPEAT)]
    for path in paths:
        images = parquet.read(path, COLUMNS)
        images = images[images["split"].isin(["train", schema.VALIDATION])]
        kept = images["reason"].isna()
        before = _add(before, images["landmark_id"])
        after = _add(after, images.loc[kept, "landmark_id"])
        repeat = images["duplicate_of"].notna()
        repeats.append(images.loc[repeat, list(REPEAT)])
        alone = images.loc[~repeat, list(SAMPLE)].fillna({"reason": KEPT})
        samples = sample(pd.concat([samples, sample(alone, PHOTOS)]), PHOTOS)
    return DecisionDigest(before, after, samples, pd.concat(repeats, ignore_index=True))


def _add(counts: pd.Series, landmarks: pd.Series) -> pd.Series:
    return counts.add(landmarks.value_counts(), fill_value=0).astype("int64")


def sample(rows: pd.DataFrame, number: int, key: Sequence[str] = ("id",)) -> pd.DataFrame:
    """Returns up to `number` rows of each reason, sampled by a hash of some columns.

    Args:
      rows: column reason, and those of `key`.
      number: of rows of each reason.
      key: the columns that are hashed; strings.
    """
    texts = rows[key[0]]
    for name in key[1:]:
        texts = texts + rows[name]
    ordered = rows.assign(order=hashing.order_key(texts, SEED)).sort_values(["order", *key])
    return ordered.groupby("reason").head(number).drop(columns="order")


# ---- sheets ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Group:
    """Photos that are shown together.

    Attributes:
      ids: of the representative (the photo that was kept, or a test or index photo), and then of
        photos that were removed as its duplicates.
      more: number of other photos that were removed as its duplicates.
    """

    ids: tuple[str, ...]
    more: int = 0


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The selection for one contact sheet.

    Attributes:
      reason: a Reason, or KEPT.
      which: "largest" or "sampled" for groups of duplicates, "alone" for single photos.
      groups: in the order of the sheet.
    """

    reason: str
    which: str
    groups: tuple[Group, ...]

    @property
    def grouped(self) -> bool:
        """Tells whether the sheet shows groups of duplicates."""
        return self.which != "alone"

    @property
    def ids(self) -> set[str]:
        """Returns the ids of all photos of the sheet."""
        return {name for group in self.groups for name in group.ids}


def sheets(found: DecisionDigest) -> Iterator[Sheet]:
    """Yields the sheets of a report: those of images kept, then those of each Reason in order."""
    repeats = _without_representatives(found.repeats)
    for reason in (KEPT, *map(str, Reason)):
        largest, sampled = _representatives(repeats[repeats["reason"] == reason])
        for which, representatives, rows in (("largest", largest, 2), ("sampled", sampled, 1)):
            if len(representatives):
                cells = rows * contact_sheet.COLUMNS
                yield Sheet(reason, which, _groups(repeats, reason, representatives, cells))
        alone = found.samples.loc[found.samples["reason"] == reason, "id"]
        if len(alone):
            yield Sheet(reason, "alone", (Group(tuple(alone)),))


def _without_representatives(repeats: pd.DataFrame) -> pd.DataFrame:
    """Removes the rows in which the representative of a conflict points at one of its group.

    Where a conflict drops a whole group, two of its images point at each other; the
    representative is the one that more images point at.
    """
    conflicts = repeats[repeats["reason"] == Reason.LABEL_CONFLICT]
    points = conflicts.drop_duplicates("id").set_index("id")["duplicate_of"]
    mutual = points[points.map(points) == points.index]
    sizes = points.value_counts()
    mine, others = sizes.reindex(mutual.index).to_numpy(), sizes.reindex(mutual).to_numpy()
    is_representative = (mine > others) | ((mine == others) & (mutual.index < mutual))
    return repeats[~repeats["id"].isin(mutual.index[is_representative])]


def _representatives(repeats: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Returns ids of the representatives of the largest groups and of a sample of the others."""
    sizes = repeats.groupby(["duplicate_of", "reason"]).size().reset_index(name="size")
    sizes = sizes.rename(columns={"duplicate_of": "id"})
    several = sizes[sizes["size"] > 1].sort_values(["size", "id"], ascending=[False, True])
    largest = several["id"].head(LARGEST)
    return largest, sample(sizes[~sizes["id"].isin(largest)], SAMPLED)["id"]


def _groups(
    repeats: pd.DataFrame, reason: str, representatives: pd.Series, cells: int
) -> tuple[Group, ...]:
    """Returns the groups of representatives, duplicates of the given reason first."""
    found = repeats[repeats["duplicate_of"].isin(representatives)]
    found = found.assign(other=found["reason"] != reason).sort_values(["other", "id"])
    members = found.groupby("duplicate_of")["id"].agg(list)
    return tuple(_group(first, members[first], cells) for first in representatives)


def _group(representative: str, members: list[str], cells: int) -> Group:
    """Cuts a group to a number of cells, the last of which counts the photos left out."""
    if 1 + len(members) <= cells:
        return Group((representative, *members))
    shown = members[: cells - 2]
    return Group((representative, *shown), len(members) - len(shown))
