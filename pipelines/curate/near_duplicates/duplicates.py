"""Which images are the same photo, and which of them stays. Pure functions over columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipelines.common.reasons import Reason

PAIR = ["a", "b", "a_split", "b_split", "same"]  # as pairs.read has them
KEY = ["split", "id"]
LEAKS = {
    "test": (Reason.IN_TEST, Reason.NEAR_TEST),
    "index": (Reason.IN_INDEX, Reason.NEAR_INDEX),
}
CONFLICTS = ("drop", "keep_clean", "keep_first")


def id_numbers(ids: pd.Series) -> np.ndarray:
    """[rows] uint64: the numbers that ids of 16 hex are."""
    return np.frombuffer(bytes.fromhex("".join(ids)), ">u8").astype(np.uint64)


def comparable(images: pd.DataFrame) -> pd.DataFrame:
    """Those that nothing speaks against yet, and those that are there to be compared with."""
    return images[images["reason"].isna() | (images["reason"] == Reason.REFERENCE)]


def exact_pairs(images: pd.DataFrame) -> pd.DataFrame:
    """Pairs of images with the same bytes: each with the first of them.

    Args:
      images: columns id, split, sha256. All images of a sha256 are in it.
    """
    images = images.sort_values(["sha256", "split", "id"])
    images = images.assign(number=id_numbers(images["id"]))
    first = images.groupby("sha256")[["number", "split"]].transform("first")
    pairs = pd.DataFrame(
        {
            "a": first["number"],
            "b": images["number"],
            "a_split": first["split"],
            "b_split": images["split"],
            "same": True,
        }
    )
    return pairs[(pairs["a"] != pairs["b"]) | (pairs["a_split"] != pairs["b_split"])]


def linked(images: pd.DataFrame, pairs: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Those comparable images that some pair names: what `resolve` looks at."""
    images = comparable(images)
    numbers = pd.Series(id_numbers(images["id"]), images.index)
    named = pd.Series(False, images.index)
    for some in pairs:
        named |= numbers.isin(some["a"]) | numbers.isin(some["b"])
    return images[named]


def resolve(
    images: pd.DataFrame, pairs: pd.DataFrame, on_conflict: str, against: Sequence[str]
) -> pd.DataFrame:
    """Which train images go, and for which image.

    Images are looked at from the best down: those of `against`, then those in
    the clean list, then the larger, then the smaller id. One survives unless it
    is like a survivor before it. So no two survivors are alike, what goes is
    like the survivor that it points to, and a chain of likenesses never joins
    two photos that are not alike.

    Args:
      images: columns id, split, landmark_id, clean, sha256, width, height; each
        split and id once.
      pairs: PAIR. Images that are the same are alike to the same others.
      on_conflict: one of CONFLICTS, for survivors whose likes have other landmarks.
      against: splits that no train image may be like.

    Returns:
      columns split, id, reason, duplicate_of: a row for each image that goes.
    """
    images = _ranked(images[images["split"].isin(["train", *against])], against)
    ends = _ends(pairs, images)
    heads = _heads(ends[pairs["same"].to_numpy(bool)], len(images))
    alike = np.unique(np.sort(heads[ends[(ends >= 0).all(axis=1)]], axis=1), axis=0)
    references = int((images["split"] != "train").sum())
    survivors = _survivors(alike[alike[:, 0] != alike[:, 1]], len(images), references)[heads]
    return _verdicts(images, survivors, on_conflict)


def apply(images: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """The images with `reason` and `duplicate_of` set where a verdict says so."""
    if verdicts.empty:
        return images
    found = images[KEY].merge(verdicts, on=KEY, how="left").set_axis(images.index)
    hit = images["reason"].isna() & found["reason"].notna()
    images = images.copy()
    for column in ("reason", "duplicate_of"):
        images[column] = images[column].where(~hit, found[column])
    return images


# ---- the steps of resolve -------------------------------------------------------------------


def _ranked(images: pd.DataFrame, against: Sequence[str]) -> pd.DataFrame:
    """The best first; a row's number is its rank."""
    splits = [*against, "train"]
    images = images.assign(
        place=images["split"].map(splits.index).astype(int),
        area=images["width"].astype("int64") * images["height"].astype("int64"),
    )
    order = ["place", "clean", "area", "id"]
    return images.sort_values(order, ascending=[True, False, False, True], ignore_index=True)


def _ends(pairs: pd.DataFrame, images: pd.DataFrame) -> np.ndarray:
    """[pairs, 2] ranks of the two images of each pair, -1 for one that is not there."""
    index = pd.MultiIndex.from_arrays([images["split"].astype(str), id_numbers(images["id"])])
    ends = [
        index.get_indexer(pd.MultiIndex.from_arrays([pairs[f"{x}_split"].astype(str), pairs[x]]))
        for x in ("a", "b")
    ]
    return np.stack(ends, axis=1)


def _heads(ends: np.ndarray, images: int) -> np.ndarray:
    """[images] the best of the images that are the same as this one."""
    one, two = ends[(ends >= 0).all(axis=1)].T
    graph = coo_array((np.ones(len(one), np.int8), (one, two)), shape=(images, images))
    _, group = connected_components(graph, directed=False)
    best = np.full(images, images)
    np.minimum.at(best, group, np.arange(images))
    return best[group]


def _survivors(alike: np.ndarray, images: int, references: int) -> np.ndarray:
    """[images] of each, the best survivor that it is like, or itself: greedily, by rank.

    Args:
      alike: [pairs, 2] ranks, the better first, sorted.
      references: so many first ones always survive.
    """
    survivors = np.arange(images)
    better, starts = np.unique(alike[:, 0], return_index=True)
    for one, likes in zip(better.tolist(), np.split(alike[:, 1], starts[1:]), strict=False):
        if survivors[one] == one:
            free = likes[(survivors[likes] == likes) & (likes >= references)]
            survivors[free] = one
    return survivors


def _verdicts(images: pd.DataFrame, survivors: np.ndarray, on_conflict: str) -> pd.DataFrame:
    other = images.iloc[survivors].reset_index(drop=True)
    exact = images["sha256"] == other["sha256"]
    leaked = other["split"] != "train"
    goes = (images["split"] == "train") & (survivors != images.index)
    foreign = (images["landmark_id"] != other["landmark_id"]).fillna(False) & ~leaked
    conflict = foreign.groupby(survivors).transform("any")
    settled = _settled(images, survivors, on_conflict)
    # Of a group that goes as a whole, the best points to the best of another landmark.
    first_foreign = images["id"].where(foreign).groupby(survivors).transform("first")

    reason = pd.Series(np.where(exact, Reason.DUPLICATE, Reason.NEAR_DUPLICATE), images.index)
    reason = reason.mask(conflict & (foreign | ~settled), Reason.LABEL_CONFLICT)
    for split, (same, near) in LEAKS.items():
        reason = reason.mask(other["split"] == split, np.where(exact, same, near))
    points_to = other["id"].where(survivors != images.index, first_foreign)
    verdicts = pd.DataFrame(
        {"split": images["split"], "id": images["id"], "reason": reason, "duplicate_of": points_to}
    )
    return verdicts[goes | (conflict & ~settled & ~leaked)].astype("string[pyarrow]")


def _settled(images: pd.DataFrame, survivors: np.ndarray, on_conflict: str) -> pd.Series:
    """[images] whether a conflict in the image's group leaves the survivor where it is."""
    if on_conflict != "keep_clean":
        return pd.Series(on_conflict == "keep_first", images.index)
    clean = images["landmark_id"].where(images["clean"])
    return clean.groupby(survivors).transform("nunique") == 1
