"""Multi-index hashing: finds all pairs of 64-bit hashes that differ in few bits. Numpy only.

After Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with
multi-index hashing". A hash has four bands of 16 bits. Of two hashes within
seven bits of each other some band differs in one bit at most, so one of that
band's two bytes is the same in both, and the other byte differs in one bit at
most. So the search runs eight times, once for each byte: photos with the same
value of the byte are compared where the band's other byte differs in one bit at
most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from pipelines.common.options.curation import MAX_RADIUS as RADIUS

BYTES = 8
DIAGONALS = np.argsort(np.add.outer(np.arange(8), np.arange(8)).ravel() % 4, kind="stable")
FINE = 4  # times the radius: bits of 128 by which the finer hashes of near duplicates may differ
SHAPE_STEP = 0.05  # of the logarithm of width over height
SHAPES = 2  # steps by which the shapes of near duplicates may differ: about a tenth
# A block of more comparisons than this is split into buckets by more bits of the hash; a bucket
# that is still larger is oversized.
BLOCK = 16 << 20
PIECE = 1 << 20  # comparisons made at a time; they fit a processor's cache
WINDOW = 32  # next photos that a photo of an oversized bucket is compared with, in each sort order

PHOTO = np.dtype(
    [
        ("hash", "<u8"),
        ("fine_0", "<u8"),
        ("fine_1", "<u8"),
        ("id", "<u8"),
        ("shape", "i1"),
        ("split", "u1"),  # a pair is wanted where one of the two has 0 (train)
    ]
)
PAIR = np.dtype(
    [
        ("a", "<u8"),
        ("b", "<u8"),
        ("a_split", "u1"),
        ("b_split", "u1"),
        ("distance", "u1"),
        ("fine", "u1"),
    ]
)
ORDER = ("id", "split", "shape", "fine_1", "fine_0", "hash")  # for lexsort: the last is primary


@dataclasses.dataclass
class SearchCounts:
    """Counters of a search.

    Attributes:
      near: pairs within the radius, before the finer hash and the shape are compared; a pair
        counts each time that it is found.
      oversized: photos in oversized buckets, which were compared with some photos of their
        bucket only; a photo counts once for each such bucket.
    """

    near: int = 0
    oversized: int = 0


def shape(width: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Returns width over height on a logarithmic scale, in steps of SHAPE_STEP, [rows] int8."""
    steps = np.log(width / height) / SHAPE_STEP
    return np.clip(np.rint(steps), -127, 127).astype(np.int8)


def spread(hashes: np.ndarray) -> np.ndarray:
    """Permutes the bits of hashes so that neighbours in the photo fall into different bands.

    Bits come from an 8 x 8 grid, and neighbours agree (sky is smooth): with a
    row or a column to a byte, bands of real photos agree up to ten times as
    often as by chance; with a diagonal, less than twice as often.

    Returns:
      [rows] uint64.
    """
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, BYTES), axis=1)
    spread = np.ascontiguousarray(np.packbits(bits[:, DIAGONALS], axis=1))
    return spread.view(">u8").astype(np.uint64).ravel()


def byte(hashes: np.ndarray, index: int) -> np.ndarray:
    """Returns one of the eight bytes of each hash, [rows] uint8."""
    return (hashes >> np.uint64(8 * index)).astype(np.uint8)


def search(photos: np.ndarray, index: int, counts: SearchCounts) -> np.ndarray:
    """Finds pairs of near duplicates among photos that agree in one byte of their hashes.

    Args:
      photos: [rows] PHOTO, in any order, with all photos of each value of the byte.
      index: of the byte, 0 to 7.
      counts: changed in place.

    Returns:
      [pairs] PAIR, a before b by split and id, sorted, each once. Photos with
      equal hashes and shapes are paired with the first of them only.
    """
    own, other = byte(photos["hash"], index), byte(photos["hash"], index ^ 1)
    photos = photos[np.lexsort([photos[name] for name in ORDER] + [other, own])]
    first = _first_of_equals(photos)
    found = [_equals(photos, first)]
    photos = photos[first == np.arange(len(photos))]
    for left, right in _near_bands(photos["hash"], index):
        found += _compare(photos, left, right, index, counts)
    return np.unique(np.concatenate(found))


def _first_of_equals(photos: np.ndarray) -> np.ndarray:
    """Returns for each sorted photo the row of the first one with equal hashes and shape."""
    new = np.zeros(len(photos), bool)  # whether a photo differs from the one before it
    for name in ("hash", "fine_0", "fine_1", "shape"):
        new[1:] |= photos[name][1:] != photos[name][:-1]
    return np.maximum.accumulate(np.where(new, np.arange(len(photos)), 0))


def _equals(photos: np.ndarray, first: np.ndarray) -> np.ndarray:
    rest = np.flatnonzero(first != np.arange(len(photos)))
    return _pairs(photos[first[rest]], photos[rest])


def _near_bands(hashes: np.ndarray, index: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields rows to compare: of a band, and of it and the later bands one bit away."""
    own, other = byte(hashes, index), byte(hashes, index ^ 1)
    bands = own.astype(np.uint16) << np.uint16(8) | other
    rows = np.arange(len(bands))
    values, starts = np.unique(bands, return_index=True)
    slices = dict(zip(values.tolist(), np.split(rows, starts[1:]), strict=False))
    for value, left in slices.items():
        near = [value | 1 << bit for bit in range(8) if not value & 1 << bit]
        yield left, np.concatenate([left, *(slices[v] for v in near if v in slices)])


def _compare(
    photos: np.ndarray, left: np.ndarray, right: np.ndarray, index: int, counts: SearchCounts
) -> Iterator[np.ndarray]:
    """Yields pairs of left and right rows; right begins with left, to compare it with itself."""
    if len(left) * len(right) <= BLOCK:
        yield from _block(photos, left, right, counts)
        return
    for bits in _six_bits(index):
        lefts, rights = _by_bits(photos["hash"][left], bits), _by_bits(photos["hash"][right], bits)
        for value in np.intersect1d(lefts, rights):
            some, others = left[lefts == value], right[rights == value]
            if len(some) * len(others) <= BLOCK:
                yield from _block(photos, some, others, counts)
            else:
                yield from _oversized(photos[others], counts)


def _six_bits(index: int) -> Iterator[np.ndarray]:
    """Yields eight groups of the 48 bits outside a band; a pair within seven bits shares one."""
    first = 16 * (index // 2)
    rest = [bit for bit in range(64) if not first <= bit < first + 16]
    for group in range(8):
        yield np.array(rest[group::8], np.uint64)


def _by_bits(hashes: np.ndarray, bits: np.ndarray) -> np.ndarray:
    chosen = (hashes[:, None] >> bits) & np.uint64(1)
    return chosen @ (np.uint64(1) << np.arange(len(bits), dtype=np.uint64))


def _block(
    photos: np.ndarray, left: np.ndarray, right: np.ndarray, counts: SearchCounts
) -> Iterator[np.ndarray]:
    """Compares all left rows with all right rows, PIECE comparisons at a time."""
    hashes, others = photos["hash"][left], photos["hash"][right]
    step = max(1, PIECE // len(right))
    for start in range(0, len(left), step):
        near = np.bitwise_count(hashes[start : start + step, None] ^ others) <= RADIUS
        one, two = np.divmod(np.flatnonzero(near), len(right))
        after = two > one + start  # as right begins with left: each pair once, no row with itself
        if after.any():
            counts.near += int(after.sum())
            yield _finer_match(photos[left[one[after] + start]], photos[right[two[after]]])


def _oversized(photos: np.ndarray, counts: SearchCounts) -> Iterator[np.ndarray]:
    """Compares each photo with the next WINDOW in two sort orders: sorted neighbourhoods.

    After Hernandez and Stolfo 1995, "The merge/purge problem for large databases".
    """
    counts.oversized += len(photos)
    for order in (("fine_1", "fine_0", "hash"), ("hash", "fine_0", "fine_1")):
        photos = photos[np.lexsort([photos[name] for name in order])]
        for step in range(1, min(WINDOW, len(photos) - 1) + 1):
            one, two = photos[:-step], photos[step:]
            near = np.bitwise_count(one["hash"] ^ two["hash"]) <= RADIUS
            yield _finer_match(one[near], two[near])


def _finer_match(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Returns the pairs whose finer hashes and shapes are near, too."""
    shapes = np.abs(one["shape"].astype(np.int16) - two["shape"]) <= SHAPES
    matters = (one["split"] == 0) | (two["split"] == 0)
    kept = shapes & matters
    found = _pairs(one[kept], two[kept])
    return found[found["fine"] <= FINE * RADIUS]


def _pairs(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    swap = (one["split"] > two["split"]) | (
        (one["split"] == two["split"]) & (one["id"] > two["id"])
    )
    pairs = np.empty(len(one), PAIR)
    for name, source in (("", "id"), ("_split", "split")):
        pairs["a" + name] = np.where(swap, two[source], one[source])
        pairs["b" + name] = np.where(swap, one[source], two[source])
    pairs["distance"] = np.bitwise_count(one["hash"] ^ two["hash"])
    pairs["fine"] = np.bitwise_count(one["fine_0"] ^ two["fine_0"]) + np.bitwise_count(
        one["fine_1"] ^ two["fine_1"]
    )
    return pairs
