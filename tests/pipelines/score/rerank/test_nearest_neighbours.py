"""Neighbours by blocks are those of brute force, ties and short indexes among them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.score.rerank import nearest_neighbours
from pipelines.score.rerank.nearest_neighbours import Block, search


def unit(rng: np.random.Generator, rows: int, features: int) -> np.ndarray:
    found = rng.normal(size=(rows, features)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def blocks(ids, vectors, labels, size: int) -> Iterator[Block]:
    for start in range(0, len(ids), size):
        yield Block(ids, vectors, labels).rows(start, start + size)


def slow(queries, ids, vectors, labels, k: int, without=None):
    """One query after the other, all of the index at once."""
    rows = []
    for number, query in enumerate(queries):
        every = [
            (-float(query @ vector), image_id, label)
            for image_id, vector, label in zip(ids, vectors, labels, strict=True)
            if without is None or image_id != without[number]
        ]
        rows.append(sorted(every)[:k])
    return rows


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_blocks_give_what_brute_force_gives(monkeypatch, size):
    monkeypatch.setattr(nearest_neighbours, "ROWS", 64)
    monkeypatch.setattr(nearest_neighbours, "QUERIES", 16)
    rng = np.random.default_rng(0)
    queries, vectors = unit(rng, 40, 32), unit(rng, 300, 32)
    ids, labels = np.array([f"{n:016x}" for n in rng.permutation(300)]), rng.integers(9, size=300)
    found = search(queries, blocks(ids, vectors, labels, size), 5, keep_vectors=True)
    order = np.argsort(-(queries @ vectors.T), axis=1)[:, :5]
    assert (found.ids == ids[order]).all()
    assert (found.labels == labels[order]).all()
    assert (found.vectors == vectors[order]).all()
    np.testing.assert_allclose(
        found.similarities, np.take_along_axis(queries @ vectors.T, order, axis=1), atol=1e-6
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 6), st.integers(1, 9))
def test_ties_go_by_id_whatever_the_blocks(seed, rows, k, size):
    """Vectors of whole numbers, whose products are exact, with many equal ones."""
    rng = np.random.default_rng(seed)
    queries, vectors = (rng.integers(-1, 2, (n, 3)).astype(np.float32) for n in (4, rows))
    ids = np.array([f"{n:016x}" for n in rng.permutation(rows)])
    labels, without = rng.integers(3, size=rows), rng.choice(ids, 4)
    found = search(queries, blocks(ids, vectors, labels, size), k, without=without)
    expected = slow(queries, ids, vectors, labels, k, without)
    for number, row in enumerate(expected):
        assert found.ids[number, : len(row)].tolist() == [image_id for _, image_id, _ in row]
        assert found.labels[number, : len(row)].tolist() == [label for _, _, label in row]
        assert found.similarities[number, : len(row)].tolist() == [-least for least, _, _ in row]
        assert (found.similarities[number, len(row) :] == -np.inf).all()


def test_mean_of_the_highest_leaves_the_photo_itself_out():
    rng = np.random.default_rng(1)
    vectors = unit(rng, 20, 8)
    ids = np.array([f"{n:016x}" for n in range(20)])
    index = Block(ids, vectors, np.zeros(20, np.int64))
    found = nearest_neighbours.mean_similarity(vectors[:6], index, 5, ids[:6])
    for number in range(6):
        others = np.delete(vectors, number, axis=0) @ vectors[number]
        assert found[number] == pytest.approx(np.sort(others)[-5:].mean(), abs=1e-6)
    few = index.rows(0, 3)
    found = nearest_neighbours.mean_similarity(vectors[:1], few, 5, ids[:1])
    assert found[0] == pytest.approx((vectors[1:3] @ vectors[0]).mean(), abs=1e-6)
