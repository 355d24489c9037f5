"""Groups images that show the same photo and picks the one to keep. Pure functions over columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipelines.common.reasons import Reason

PAIR = ["a", "b", "a_split", "b_split", "same"]  # the columns of pair_search.read
KEY = ["split", "id"]
LEAKS = {
    "test": (Reason.IN_TEST, Reason.NEAR_TEST),
    "index": (Reason.IN_INDEX, Reason.NEAR_INDEX),
}


def id_numbers(ids: pd.Series) -> np.ndarray:
    """Converts ids of 16 hexadecimal digits to numbers, [rows] uint64."""
    return np.frombuffer(bytes.fromhex("".join(ids)), ">u8").astype(np.uint64)


def comparable(images: pd.DataFrame) -> pd.DataFrame:
    """Returns the images that no filter has dropped, and the reference images."""
    return images[images["reason"].isna() | (images["reason"] == Reason.REFERENCE)]


def exact_pairs(images: pd.DataFrame) -> pd.DataFrame:
    """Returns pairs of images with the same bytes: the first of each group with every other one.

    Args:
      images: columns id, split, sha256; with all images of each sha256 in it.

    Returns:
      columns PAIR.
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
    """Returns the comparable images that occur in a pair: the input of `resolve`."""
    images = comparable(images)
    numbers = pd.Series(id_numbers(images["id"]), images.index)
    named = pd.Series(False, images.index)
    for some in pairs:
        named |= numbers.isin(some["a"]) | numbers.isin(some["b"])
    return images[named]


def resolve(
    images: pd.DataFrame, pairs: pd.DataFrame, on_conflict: str, references: Sequence[str]
) -> pd.DataFrame:
    """Returns the train images to remove, each with the image that it duplicates.

    A greedy pass over the images in order of rank: those of the splits `references`
    first, then those in the clean list, then those with more pixels, then the
    smaller id. An image is kept unless it is a neighbour of (in a pair with) a
    kept image of better rank. So no two kept images are neighbours, a removed
    image is a neighbour of the kept image that it points to, and a chain of
    neighbours never joins two photos that are not neighbours themselves.

    Args:
      images: columns id, split, landmark_id, clean, sha256, width, height; each
        split and id once.
      pairs: columns PAIR. Images that are the `same` share their neighbours.
      on_conflict: a name of CurateOptions.on_conflict, for kept images whose neighbours have
        other landmarks.
      references: splits of which no train image may have a neighbour.

    Returns:
      columns split, id, reason, duplicate_of: a row for each image to remove.
    """
    images = _ranked(images[images["split"].isin(["train", *references])], references)
    ends = _ends(pairs, images)
    representatives = _representatives(ends[pairs["same"].to_numpy(bool)], len(images))
    edges = np.sort(representatives[ends[(ends >= 0).all(axis=1)]], axis=1)
    edges = np.unique(edges[edges[:, 0] != edges[:, 1]], axis=0)
    always_kept = int((images["split"] != "train").sum())
    kept = _kept(edges, len(images), always_kept)[representatives]
    return _removals(images, kept, on_conflict)


def apply(images: pd.DataFrame, removals: pd.DataFrame) -> pd.DataFrame:
    """Sets `reason` and `duplicate_of` of the images that `resolve` removes.

    An image that has a reason already keeps it.
    """
    if removals.empty:
        return images
    found = images[KEY].merge(removals, on=KEY, how="left").set_axis(images.index)
    hit = images["reason"].isna() & found["reason"].notna()
    images = images.copy()
    for column in ("reason", "duplicate_of"):
        images[column] = images[column].where(~hit, found[column])
    return images


# ---- the steps of resolve -------------------------------------------------------------------


def _ranked(images: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """Sorts images from the best to the worst; the row number is the rank."""
    splits = [*references, "train"]
    images = images.assign(
        split_rank=images["split"].map(splits.index).astype(int),
        area=images["width"].astype("int64") * images["height"].astype("int64"),
    )
    order = ["split_rank", "clean", "area", "id"]
    return images.sort_values(order, ascending=[True, False, False, True], ignore_index=True)


def _ends(pairs: pd.DataFrame, images: pd.DataFrame) -> np.ndarray:
    """Returns the ranks of the two images of each pair, [pairs, 2]; -1 for one not in `images`."""
    index = pd.MultiIndex.from_arrays([images["split"].astype(str), id_numbers(images["id"])])
    ends = [
        index.get_indexer(pd.MultiIndex.from_arrays([pairs[f"{x}_split"].astype(str), pairs[x]]))
        for x in ("a", "b")
    ]
    return np.stack(ends, axis=1)


def _representatives(ends: np.ndarray, images: int) -> np.ndarray:
    """Returns for each image the rank of the best image that is the same, [images]."""
    one, two = ends[(ends >= 0).all(axis=1)].T
    graph = coo_array((np.ones(len(one), np.int8), (one, two)), shape=(images, images))
    _, group = connected_components(graph, directed=False)
    best = np.full(images, images)
    np.minimum.at(best, group, np.arange(images))
    return best[group]


def _kept(edges: np.ndarray, images: int, always_kept: int) -> np.ndarray:
    """Returns for each image the best kept neighbour, or itself if it is kept, [images].

    Args:
      edges: [pairs, 2] ranks of neighbours, the better first, sorted.
      images: how many there are.
      always_kept: how many of the first ranks are kept in any case: the references.
    """
    kept = np.arange(images)
    better, starts = np.unique(edges[:, 0], return_index=True)
    for one, neighbours in zip(better.tolist(), np.split(edges[:, 1], starts[1:]), strict=False):
        if kept[one] == one:
            free = neighbours[(kept[neighbours] == neighbours) & (neighbours >= always_kept)]
            kept[free] = one
    return kept


def _removals(images: pd.DataFrame, kept: np.ndarray, on_conflict: str) -> pd.DataFrame:
    """Returns the images to remove with their reasons; a group is a kept image's neighbours."""
    other = images.iloc[kept].reset_index(drop=True)
    exact = images["sha256"] == other["sha256"]
    leaked = other["split"] != "train"
    goes = (images["split"] == "train") & (kept != images.index)
    foreign = (images["landmark_id"] != other["landmark_id"]).fillna(False) & ~leaked
    conflict = foreign.groupby(kept).transform("any")
    settled = _settled(images, kept, on_conflict)
    # Where a whole group is removed, its best image points to its best one of another landmark.
    first_foreign = images["id"].where(foreign).groupby(kept).transform("first")

    reason = pd.Series(np.where(exact, Reason.DUPLICATE, Reason.NEAR_DUPLICATE), images.index)
    reason = reason.mask(conflict & (foreign | ~settled), Reason.LABEL_CONFLICT)
    for split, (same, near) in LEAKS.items():
        reason = reason.mask(other["split"] == split, np.where(exact, same, near))
    points_to = other["id"].where(kept != images.index, first_foreign)
    removals = pd.DataFrame(
        {"split": images["split"], "id": images["id"], "reason": reason, "duplicate_of": points_to}
    )
    return removals[goes | (conflict & ~settled & ~leaked)].astype("string[pyarrow]")


def _settled(images: pd.DataFrame, kept: np.ndarray, on_conflict: str) -> pd.Series:
    """Tells for each image whether its group keeps an image in spite of a conflict, [images]."""
    if on_conflict != "keep_clean":
        return pd.Series(on_conflict == "keep_first", images.index)
    clean = images["landmark_id"].where(images["clean"])
    return clean.groupby(kept).transform("nunique") == 1
