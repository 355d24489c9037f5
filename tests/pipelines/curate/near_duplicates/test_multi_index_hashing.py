"""The search for like hashes, against looking at every pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.curate.near_duplicates import multi_index_hashing
from pipelines.curate.near_duplicates.multi_index_hashing import (
    FINE,
    PHOTO,
    RADIUS,
    SHAPES,
    SearchCounts,
)


def brute_force(photos: np.ndarray) -> set[tuple[int, int]]:
    """Ids of all like pairs, one bit at a time."""
    found = set()
    for a, b in itertools.combinations(photos.tolist(), 2):
        fine = (a[1] ^ b[1]).bit_count() + (a[2] ^ b[2]).bit_count()
        near = (a[0] ^ b[0]).bit_count() <= RADIUS and fine <= FINE * RADIUS
        if near and abs(a[4] - b[4]) <= SHAPES and 0 in (a[5], b[5]):
            found.add((min(a[3], b[3]), max(a[3], b[3])))
    return found


def search(photos: np.ndarray) -> tuple[np.ndarray, SearchCounts]:
    counts = SearchCounts()
    found = [
        multi_index_hashing.search(photos, index, counts)
        for index in range(multi_index_hashing.BYTES)
    ]
    return np.unique(np.concatenate(found)), counts


def family(rng: np.random.Generator, size: int, flips: int, bits: int = 64) -> np.ndarray:
    """Photos around one: each hash differs from it in up to so many bits of the lowest ones."""
    photos = np.zeros(size, PHOTO)
    base = rng.integers(0, 2**64, dtype=np.uint64)
    for name, most in (("hash", flips), ("fine_0", 2 * flips), ("fine_1", 2 * flips)):
        masks = [
            sum(1 << int(bit) for bit in rng.choice(bits, rng.integers(most + 1), replace=False))
            for _ in range(size)
        ]
        photos[name] = np.array(masks, np.uint64) ^ base
    return photos


def world(seed: int, families: int = 12, size: int = 12, flips: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    photos = np.concatenate([family(rng, size, flips) for _ in range(families)])
    photos["id"] = rng.permutation(len(photos)).astype(np.uint64)
    photos["shape"] = rng.integers(-2, 3, len(photos))
    photos["split"] = rng.choice([0, 0, 0, 1], len(photos))
    return photos


def links(pairs: np.ndarray) -> set[tuple[int, int]]:
    return {(min(p[0], p[1]), max(p[0], p[1])) for p in pairs.tolist()}


@given(st.integers(0, 10**6), st.integers(0, 7))
@settings(max_examples=40, deadline=None)
def test_no_pair_is_missed_and_none_invented(seed: int, flips: int):
    photos = world(seed, flips=flips)
    photos = photos[np.unique(photos[["hash", "fine_0", "fine_1", "shape"]], return_index=True)[1]]
    found, counts = search(photos)
    assert links(found) == brute_force(photos)
    assert counts.oversized == 0


def test_distances_are_those_of_the_hashes():
    photos = {row[3]: row for row in world(5).tolist()}
    found, _ = search(world(5))
    assert len(found) > 50
    for a, b, _, _, distance, fine in found.tolist():
        one, two = photos[a], photos[b]
        assert distance == (one[0] ^ two[0]).bit_count()
        assert fine == sum((one[n] ^ two[n]).bit_count() for n in (1, 2))


@given(st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_the_order_of_photos_decides_nothing(seed: int):
    photos = world(seed)
    shuffled = np.random.default_rng(seed).permutation(photos)
    assert np.array_equal(search(photos)[0], search(shuffled)[0])


def test_photos_that_look_the_same_are_a_star_not_a_clique():
    photos = np.zeros(2000, PHOTO)
    photos["id"] = np.arange(2000)[::-1]
    found, _ = search(photos)
    assert len(found) == 1999
    assert set(found["a"]) == {0}
    assert set(found["distance"]) == {0}


def test_two_test_photos_are_no_pair_but_a_train_photo_links_to_each():
    photos = np.zeros(3, PHOTO)
    photos["id"], photos["split"], photos["fine_0"] = [1, 2, 3], [1, 1, 0], [0, 1, 3]
    found, _ = search(photos)
    assert found[["a", "a_split", "b", "b_split"]].tolist() == [(3, 0, 1, 1), (3, 0, 2, 1)]


@pytest.mark.parametrize("block", [1 << 20, 50])
def test_large_blocks_are_split_without_a_miss(monkeypatch: pytest.MonkeyPatch, block: int):
    rng = np.random.default_rng(2)
    photos = world(3, families=30)
    photos["hash"] &= ~np.uint64(0xFFFF << 16)  # one band is the same in all
    photos["id"] = rng.permutation(len(photos)).astype(np.uint64)
    photos = photos[np.unique(photos[["hash", "fine_0", "fine_1", "shape"]], return_index=True)[1]]
    monkeypatch.setattr(multi_index_hashing, "BLOCK", block)
    found, counts = search(photos)
    assert links(found) == brute_force(photos)
    assert (counts.oversized > 0) == (block == 50)


def test_an_oversized_bucket_is_searched_in_linear_time_and_reported(
    monkeypatch: pytest.MonkeyPatch,
):
    """A watermark: one hash for all. Copies that the finer hash puts side by side are found."""
    rng = np.random.default_rng(0)
    photos = np.zeros(4000, PHOTO)
    photos["fine_0"], photos["fine_1"] = rng.integers(0, 2**64, (2, 4000), dtype=np.uint64)
    photos["fine_0"][2000:] = photos["fine_0"][:2000] ^ np.uint64(1)
    photos["fine_1"][2000:] = photos["fine_1"][:2000]
    photos["id"] = np.arange(4000)
    monkeypatch.setattr(multi_index_hashing, "BLOCK", 1 << 16)
    found, counts = search(photos)
    assert links(found) >= {(n, n + 2000) for n in range(2000)}
    assert counts.oversized >= 4000
    assert counts.near < 4000 * 4000


def test_spreading_bits_keeps_distances():
    hashes = np.random.default_rng(0).integers(0, 2**64, 50, dtype=np.uint64)
    spread = multi_index_hashing.spread(hashes)
    assert sorted(multi_index_hashing.DIAGONALS) == list(range(64))
    before = np.bitwise_count(hashes[:, None] ^ hashes)
    assert np.array_equal(before, np.bitwise_count(spread[:, None] ^ spread))


def test_shapes_are_near_where_sides_are():
    widths, heights = np.array([400.0, 396, 300, 40000]), np.array([300.0, 300, 400, 1])
    found = multi_index_hashing.shape(widths, heights).astype(int)
    assert abs(found[0] - found[1]) <= SHAPES < abs(found[0] - found[2])
    assert found[3] == 127
