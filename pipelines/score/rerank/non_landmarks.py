"""Photos of no landmark, which scored photos are compared with: those given, or a guess."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pipelines.score import prediction_store
from pipelines.score.prediction_store import Parts
from pipelines.score.rerank import embeddings
from pipelines.score.rerank.nearest_neighbours import Block
from pipelines.storage import hashing

MOST = 20_000  # more make no better a mean, and every photo meets each


def lowest(blocks: Iterable[tuple[np.ndarray, Block]], most: int) -> Block:
    """The rows with the lowest keys; of equal ones, by id.

    Args:
      blocks: keys [rows] and rows.
      most: how many.
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
    """Half of the scored photos, of which the classifier is least sure: most show no landmark.

    No truth is looked at; GLDv2's own test set is 98 % photos of no landmark.
    """
    photos_scored = sum(len(queries.read(unit, "id")) for unit in units)

    def keyed() -> Iterator[tuple[np.ndarray, Block]]:
        for unit in units:
            table = queries.read(unit, "id", "scores", "embedding")
            if len(table):
                yield prediction_store.matrix(table, "scores")[:, 0], embeddings.unlabelled(table)

    return lowest(keyed(), min(MOST, photos_scored // 2))


def by_hash(kept: Parts, units: Sequence[str]) -> Block:
    """So many of the photos, which a hash of their ids chooses."""

    def keyed() -> Iterator[tuple[np.ndarray, Block]]:
        for block in embeddings.blocks(kept, units):
            hashes = [int(hashing.sha256(i.encode())[:12], 16) for i in block.ids.tolist()]
            yield np.array(hashes), block

    return lowest(keyed(), MOST)
