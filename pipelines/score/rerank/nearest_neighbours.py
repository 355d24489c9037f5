"""Exact search of nearest neighbours, with one block of the index in memory. No Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

ROWS, QUERIES = 4096, 2048  # compared at once, which bounds the size of the similarity matrix


@dataclasses.dataclass(frozen=True)
class Block:
    """Some rows of an index.

    Attributes:
      ids: [rows] str.
      vectors: [rows, features] float32 of length 1.
      labels: [rows] int64, passed on to results.
    """

    ids: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray

    def rows(self, start: int, stop: int) -> Block:
        """Returns the rows from `start` up to, but without, `stop`."""
        return Block(self.ids[start:stop], self.vectors[start:stop], self.labels[start:stop])


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The rows of an index that are nearest to each query, the nearest first, ties by id.

    Attributes:
      similarities: [queries, k] float32 cosines; -inf where the index had fewer rows.
      ids: [queries, k] str.
      labels: [queries, k] int64.
      vectors: [queries, k, features] float32, or [queries, k, 0] where they were not asked for.
    """

    similarities: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    vectors: np.ndarray

    def queries(self, part: slice) -> Nearest:
        """Returns a view of a slice of the queries; writes go through."""
        every = (self.similarities, self.ids, self.labels, self.vectors)
        return Nearest(*(values[part] for values in every))


def search(
    queries: np.ndarray,
    index: Iterable[Block],
    k: int,
    without: np.ndarray | None = None,
    keep_vectors: bool = False,
) -> Nearest:
    """Searches the blocks of an index; memory depends on the queries and one block only.

    Args:
      queries: [queries, features] float32 of length 1.
      index: blocks; no id is in two of them.
      k: number of neighbours of each query.
      without: [queries] the id of each query, which is left out of its neighbours; None to leave
        out none.
      keep_vectors: whether to return the neighbours' vectors.
    """
    best = _none(len(queries), k, queries.shape[1] if keep_vectors else 0)
    for block in index:
        for start in range(0, len(block.ids), ROWS):
            some = block.rows(start, start + ROWS)
            for first in range(0, len(queries), QUERIES):
                part = slice(first, first + QUERIES)
                found = queries[part] @ some.vectors.T  # [queries, rows]
                if without is not None:
                    found[_matches(without[part], some.ids)] = -np.inf
                _update(best.queries(part), found, some)
    return best


def _matches(queries: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns indices of queries, and of `ids`, that are equal."""
    order = np.argsort(ids)
    columns = order[np.minimum(np.searchsorted(ids, queries, sorter=order), len(ids) - 1)]
    same = np.flatnonzero(ids[columns] == queries)
    return same, columns[same]


def mean_similarity(queries: np.ndarray, index: Block, k: int, ids: np.ndarray) -> np.ndarray:
    """Returns the mean of each query's k highest cosines to an index, [queries] float32.

    Args:
      queries: [queries, features] float32 of length 1.
      index: with at least one row of another id for each query.
      k: number of cosines to average; fewer where the index has fewer rows.
      ids: [queries] str, the id of each query; a row of the same id is left out.
    """
    found = search(queries, [index], k, without=ids).similarities
    there = np.isfinite(found)
    return np.where(there, found, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)


def _update(best: Nearest, found: np.ndarray, block: Block) -> None:
    """Merges a block's rows into the best found so far; for most queries it has none.

    Args:
      best: changed in place.
      found: [queries, rows] float32 cosines to the block's rows.
      block: those rows.
    """
    queries = np.flatnonzero(found.max(axis=1) >= best.similarities[:, -1])
    found, k = found[queries], best.similarities.shape[1]
    columns = _highest(found, k, block.ids)
    known = [best.similarities[queries], best.ids[queries], best.labels[queries]]
    new = [np.take_along_axis(found, columns, axis=1), block.ids[columns], block.labels[columns]]
    every = [np.concatenate(both, axis=1) for both in zip(known, new, strict=True)]
    order = np.lexsort((every[1], -every[0]), axis=1)[:, :k]
    for kept, values in zip((best.similarities, best.ids, best.labels), every, strict=True):
        kept[queries] = np.take_along_axis(values, order, axis=1)
    if best.vectors.shape[2]:
        vectors = np.concatenate([best.vectors[queries], block.vectors[columns]], axis=1)
        best.vectors[queries] = np.take_along_axis(vectors, order[:, :, None], axis=1)


def _highest(found: np.ndarray, k: int, ids: np.ndarray) -> np.ndarray:
    """Returns the columns of each row's k highest values, ties by id, [queries, at most k]."""
    if found.shape[1] <= k:
        return np.broadcast_to(np.arange(found.shape[1]), found.shape)
    columns = np.argpartition(found, -k, axis=1)[:, -k:]
    least = np.take_along_axis(found, columns, axis=1).min(axis=1, keepdims=True)
    for row in np.flatnonzero((found >= least).sum(axis=1) > k):  # a tie for the last place
        columns[row] = np.lexsort((ids, -found[row]))[:k]
    return columns


def _none(queries: int, k: int, features: int) -> Nearest:
    """Returns the result of a search without rows."""
    return Nearest(
        np.full([queries, k], -np.inf, np.float32),
        np.zeros([queries, k], "U16"),
        np.zeros([queries, k], np.int64),
        np.zeros([queries, k, features], np.float32),
    )
