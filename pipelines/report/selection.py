"""Which photos go on the report's contact sheets. Pure functions over columns of decisions."""

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
SEED = 2020  # not 0: that order chooses validation images, and they would fill the sheets

COLUMNS = {n: schema.DECISIONS[n] for n in ("id", "landmark_id", "reason", "duplicate_of", "split")}
SAMPLE = {n: COLUMNS[n] for n in ("id", "reason")}
REPEAT = {n: COLUMNS[n] for n in ("id", "reason", "duplicate_of")}


# ---- what decisions say ---------------------------------------------------------------------


@dataclasses.dataclass
class Digest:
    """What the decisions say, small enough to hold.

    Attributes:
      before, after: [landmark_id] images seen, images kept.
      samples: SAMPLE, up to PHOTOS images of each reason and of those kept.
      repeats: REPEAT, all images that repeat another.
    """

    before: pd.Series
    after: pd.Series
    samples: pd.DataFrame
    repeats: pd.DataFrame


def digest(paths: Iterable[str]) -> Digest:
    """Reads decisions a file at a time."""
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
    return Digest(before, after, samples, pd.concat(repeats, ignore_index=True))


def _add(counts: pd.Series, landmarks: pd.Series) -> pd.Series:
    return counts.add(landmarks.value_counts(), fill_value=0).astype("int64")


def sample(rows: pd.DataFrame, number: int, key: Sequence[str] = ("id",)) -> pd.DataFrame:
    """Up to `number` rows of each reason, by a hash of the columns `key`."""
    texts = rows[key[0]]
    for name in key[1:]:
        texts = texts + rows[name]
    ordered = rows.assign(order=hashing.order_key(texts, SEED)).sort_values(["order", *key])
    return ordered.groupby("reason").head(number).drop(columns="order")


# ---- what goes on a sheet -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Group:
    """Photos that belong together.

    Attributes:
      ids: the survivor's, or the test photo's, and then those that went for it.
      more: how many others went.
    """

    ids: tuple[str, ...]
    more: int = 0


@dataclasses.dataclass(frozen=True)
class Sheet:
    """What is on a contact sheet.

    Attributes:
      reason: a Reason, or KEPT.
      which: "largest" or "sampled" groups, or photos "alone".
      groups: in the order of the sheet.
    """

    reason: str
    which: str
    groups: tuple[Group, ...]

    @property
    def grouped(self) -> bool:
        return self.which != "alone"

    @property
    def ids(self) -> set[str]:
        return {name for group in self.groups for name in group.ids}


def sheets(found: Digest) -> Iterator[Sheet]:
    """The sheets of a report: those of images kept, then of each reason in its order."""
    repeats = _without_heads(found.repeats)
    for reason in (KEPT, *map(str, Reason)):
        largest, sampled = _heads(repeats[repeats["reason"] == reason])
        for which, heads, rows in (("largest", largest, 2), ("sampled", sampled, 1)):
            if len(heads):
                yield Sheet(
                    reason, which, _groups(repeats, reason, heads, rows * contact_sheet.COLUMNS)
                )
        alone = found.samples.loc[found.samples["reason"] == reason, "id"]
        if len(alone):
            yield Sheet(reason, "alone", (Group(tuple(alone)),))


def _without_heads(repeats: pd.DataFrame) -> pd.DataFrame:
    """Leaves out that the head of a conflict points back at one of its own group.

    Where a conflict drops all, two images point at each other; the head is the
    one that more of them point at.
    """
    conflicts = repeats[repeats["reason"] == Reason.LABEL_CONFLICT]
    points = conflicts.drop_duplicates("id").set_index("id")["duplicate_of"]
    mutual = points[points.map(points) == points.index]
    sizes = points.value_counts()
    mine, others = sizes.reindex(mutual.index).to_numpy(), sizes.reindex(mutual).to_numpy()
    is_head = (mine > others) | ((mine == others) & (mutual.index < mutual))
    return repeats[~repeats["id"].isin(mutual.index[is_head])]


def _heads(repeats: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The first photos of the largest groups, and of a sample of the others, of one reason."""
    sizes = repeats.groupby(["duplicate_of", "reason"]).size().reset_index(name="size")
    sizes = sizes.rename(columns={"duplicate_of": "id"})
    several = sizes[sizes["size"] > 1].sort_values(["size", "id"], ascending=[False, True])
    largest = several["id"].head(LARGEST)
    return largest, sample(sizes[~sizes["id"].isin(largest)], SAMPLED)["id"]


def _groups(repeats: pd.DataFrame, reason: str, heads: pd.Series, room: int) -> tuple[Group, ...]:
    """All that went for these heads, those of the reason first."""
    found = repeats[repeats["duplicate_of"].isin(heads)]
    found = found.assign(other=found["reason"] != reason).sort_values(["other", "id"])
    members = found.groupby("duplicate_of")["id"].agg(list)
    return tuple(_group(head, members[head], room) for head in heads)


def _group(head: str, members: list[str], room: int) -> Group:
    """A group that fits into so many cells; one of them says how many are not shown."""
    if 1 + len(members) <= room:
        return Group((head, *members))
    shown = members[: room - 2]
    return Group((head, *shown), len(members) - len(shown))
