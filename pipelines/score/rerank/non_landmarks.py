"""Chooses the non-landmark photos that scored photos are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pipelines.score import prediction_store
from pipelines.score.prediction_store import Parts
from pipelines.score.rerank import embeddings
from pipelines.score.rerank.nearest_neighbours import Block
from pipelines.storage import hashing

MOST = 20_000  # more would not improve the mean, and each is compared with every photo


def lowest(blocks: Iterable[tuple[np.ndarray, Block]], most: int) -> Block:
    """Returns the rows with the lowest keys, ties by id.

    Args:
      blocks: pairs of keys [rows] and rows.
      most: at most so many rows.
    """
    keys, kept = np.zeros(0), Block(np.zeros(0, "U1"), np.zeros([0, 0], np.float32), np.zeros(0))
    for new, block in blocks:
        keys = np.concatenate([keys, new])
        ids = np.concatenate([kept.ids, block.ids])
        width = block.vectors.shape[1]
        vectors = np.concatenate([kept.vectors.reshape(-1, width), block.vectors])
        order = np.lexsort((ids, keys))[:most]
        keys, kept = keys[order], Block(ids[order], vectors[order], np.zeros(len(order)))
    return kept


def unsure(queries: Parts, units: Sequence[str]) -> Block:
    """Returns the half of the scored photos of which the classifier is least sure.

    Most of them show no landmark: they are 98 % of GLDv2's test set. The solution is not used.
    """
    photos_scored = sum(len(queries.read(unit, "id")) for unit in units)

    def keyed() -> Iterator[tuple[np.ndarray, Block]]:
        for unit in units:
            table = queries.read(unit, "id", "scores", "embedding")
            if len(table):
                yield prediction_store.matrix(table, "scores")[:, 0], embeddings.unlabelled(table)

    return lowest(keyed(), min(MOST, photos_scored // 2))


def by_hash(parts: Parts, units: Sequence[str]) -> Block:
    """Returns up to MOST of the photos, sampled by a hash of their ids."""

    def keyed() -> Iterator[tuple[np.ndarray, Block]]:
        for block in embeddings.blocks(parts, units):
            hashes = [int(hashing.sha256(i.encode())[:12], 16) for i in block.ids.tolist()]
            yield np.array(hashes), block

    return lowest(keyed(), MOST)
