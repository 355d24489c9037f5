"""How gld2 curate grows with the number of photos, up to all of GLDv2's.

    python -m tests.benchmarks.curate_scale --sizes 250000 1000000
    python -m tests.benchmarks.curate_scale -- --direct_num_workers=2 \\
        --direct_running_mode=multi_processing

There are no pixels: facts and metadata are made up, as gld2 download would leave them. Their
hashes cluster as those of real photos do (a Gaussian copula over all bits, fitted to the real
photos and their crops), and among them are planted duplicates, whose bits differ from the first
photo's as those of real copies do, plain surfaces, many photos with one watermark or with much
the same sky, and bursts. What comes after -- is passed on to gld2 curate.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

from pipelines.common import schema
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.curate.near_duplicates import pair_search
from pipelines.imaging.normalize import normalize
from pipelines.imaging.perceptual_hash import PerceptualHashes
from pipelines.source.unit import RecordParameters, UnitSummary
from pipelines.storage import filesystem, parquet
from tests import planted
from tests.benchmarks.costs import Cost, gld2, need, parser, scratch, spread_out
from tests.conftest import MINI
from tests.pipelines.conftest import read_tables

TRAIN, TEST, CLASSES = 4_132_914, 117_577, 203_094  # of GLDv2
TRAIN_TAR, TEST_TAR = 8266, 5879  # photos in one of its archives
TAIL = 50  # class sizes go with 1 / (rank + TAIL): at full size from 2 to 10,000
CLEAN = 0.38  # share of train that the clean list has
PLANTED, EXACT, OTHER_LANDMARK, NEAR_TEST = 0.03, 1 / 3, 0.2, 0.05
BLANK = 0.002
MARKED = 3000  # photos under one watermark
# A bright sky over a dark foreground looks the same to dhash, and to no other hash: 12 of 1,750
# real photos and crops were within 7 bits of most of the others.
SKY = 0.003
BURST, BURSTS = 40, 25  # photos in a burst, each like the one before; bursts in a million
SHAPES = np.array([(800, 600), (800, 533), (800, 450), (600, 800), (533, 800), (800, 800)])
HASHES = ("phash", "dhash", "fine_0", "fine_1")
BITS = 64 * len(HASHES)
CHUNK = 100_000
NEEDS = (MINI,)
SMALL = 20_000


# ---- what hashes are like -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Looks:
    """How the hashes of photos are distributed.

    Attributes:
      thresholds: [BITS] float, of a standard normal: above it the bit is set.
      factor: [BITS, BITS] float, of the normals' covariance.
      flips: [copies, hashes] uint64, the bits in which real copies differ from their photo.
    """

    thresholds: np.ndarray
    factor: np.ndarray
    flips: np.ndarray

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """[number, hashes] uint64."""
        chunks = [min(CHUNK, number - start) for start in range(0, number, CHUNK)]
        return np.concatenate([self._chunk(size, rng) for size in chunks])

    def _chunk(self, size: int, rng: np.random.Generator) -> np.ndarray:
        normals = rng.standard_normal((size, BITS), np.float32) @ self.factor.T
        return _numbers(normals > self.thresholds)


def fit(photos: Sequence[bytes]) -> Looks:
    """Fits the copula to photos and their crops; takes a third of the copies to be found."""
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(_hash, photos, chunksize=8))
    views = np.concatenate([views for views, _ in found])
    flips = np.concatenate([flips for _, flips in found])
    bits = _bits(views).astype(float)
    bits[0], bits[1] = 0, 1  # no bit is quite constant
    shares = bits.mean(axis=0)
    # Of two normals cut in halves that agree in sign with correlation phi (Sheppard 1899).
    covariance = np.sin(np.pi / 2 * np.corrcoef(bits.T))
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(values.clip(0))
    factor /= np.linalg.norm(factor, axis=1, keepdims=True)
    thresholds = np.quantile(np.random.default_rng(0).standard_normal(1_000_000), 1 - shares)
    return Looks(thresholds.astype(np.float32), factor.astype(np.float32), flips)


def _hash(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of a photo and its crops, and the bits in which its copies differ."""
    image = planted.opened(data)
    views = [data, *map(planted.jpeg, planted.corners(image))]
    copies = [kind.copy(image) for kind in planted.KINDS[::3]]
    hashes = np.array(
        [_words(normalize(one, NormalizationConfig()).hashes) for one in views + copies], np.uint64
    )
    flips = hashes[len(views) :] ^ hashes[0]
    return hashes[: len(views)], flips[_within_reach(flips)]


def _words(hashes: PerceptualHashes) -> list[int]:
    return [hashes.phash, hashes.dhash, *hashes.fine]


def _within_reach(flips: np.ndarray) -> np.ndarray:
    """Which of these differences gld2 curate should see through at its radius."""
    counts = np.bitwise_count(flips)
    return (counts[:, :2].min(axis=1) <= 7) & (counts[:, 2:].sum(axis=1) <= 28)


def _bits(words: np.ndarray) -> np.ndarray:
    """[rows, words] uint64 -> [rows, 64 words] of 0 and 1."""
    return np.unpackbits(words.astype(">u8").view(np.uint8), axis=1)


def _numbers(bits: np.ndarray) -> np.ndarray:
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)


def noise(shape: tuple[int, ...], bits: int, rng: np.random.Generator) -> np.ndarray:
    """uint64 with up to so many bits set."""
    found = np.zeros(shape, np.uint64)
    for _ in range(bits):
        found |= np.uint64(1) << rng.integers(0, 64, shape, np.uint64)
    return found


# ---- the photos -----------------------------------------------------------------------------


@dataclasses.dataclass
class Photos:
    """Made-up photos: train's, then test's.

    Attributes:
      ids: [photos] uint64.
      hashes: [photos, hashes] uint64.
      entropy: [photos] float32.
      sides: [photos, 2] width and height.
      files: [photos] int, equal where the bytes are.
      shows: [photos] int, equal where they are the same photo or of one burst.
      landmarks: [photos] int; test's are not told.
      train: how many of them are train's.
      copies, first: [planted] int, which photos are copies, and of which.
    """

    ids: np.ndarray
    hashes: np.ndarray
    entropy: np.ndarray
    sides: np.ndarray
    files: np.ndarray
    shows: np.ndarray
    landmarks: np.ndarray
    train: int
    copies: np.ndarray
    first: np.ndarray


def photos(train: int, looks: Looks, rng: np.random.Generator) -> Photos:
    total = train + max(1, train * TEST // TRAIN)
    classes = max(1, train * CLASSES // TRAIN)
    weights = 1 / (np.arange(classes) + TAIL)
    made = Photos(
        ids=rng.integers(0, 2**64, total, np.uint64),
        hashes=looks.draw(total, rng),
        entropy=rng.normal(7, 0.5, total).clip(2, 8).astype(np.float32),
        sides=SHAPES[rng.integers(0, len(SHAPES), total)],
        files=np.arange(total),
        shows=np.arange(total),
        landmarks=rng.choice(classes, total, p=weights / weights.sum()),
        train=train,
        copies=np.zeros(0, int),
        first=np.zeros(0, int),
    )
    bursts = max(1, train * BURSTS // 1_000_000)
    sizes = [min(MARKED, train // 100), int(train * SKY), int(train * BLANK)]
    sizes += [BURST * bursts, int(train * PLANTED)]
    marked, sky, blank, burst, copies, rest = np.split(rng.permutation(train), np.cumsum(sizes))
    for rows, bits in ((marked, 3), (sky, 5)):
        made.hashes[rows, 1] = made.hashes[rows[0], 1] ^ noise(rows.shape, bits, rng)
    _make_blank(made, blank, rng)
    _make_bursts(made, burst.reshape(bursts, BURST), rng)
    _plant(made, copies, rest, looks, rng)
    return made


def _make_blank(made: Photos, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Plain surfaces: the noise in them is all that their hashes see."""
    made.entropy[rows] = rng.uniform(0, 0.9, len(rows))
    made.hashes[rows] = noise((len(rows), len(HASHES)), 3, rng)


def _make_bursts(made: Photos, rows: np.ndarray, rng: np.random.Generator) -> None:
    """[bursts, photos]: the camera moves on a little with each photo."""
    steps = noise((*rows.shape, len(HASHES)), 2, rng)
    steps[:, 0] = made.hashes[rows[:, 0]]
    made.hashes[rows] = np.bitwise_xor.accumulate(steps, axis=1)
    for values in (made.sides, made.shows, made.landmarks):
        values[rows] = values[rows[:, :1]]


def _plant(
    made: Photos, copies: np.ndarray, rest: np.ndarray, looks: Looks, rng: np.random.Generator
) -> None:
    first = rng.choice(rest, len(copies))
    of_test = rng.random(len(copies)) < NEAR_TEST
    first[of_test] = rng.integers(made.train, len(made.ids), of_test.sum())
    exact = rng.random(len(copies)) < EXACT
    flips = looks.flips[rng.integers(0, len(looks.flips), len(copies))]
    made.hashes[copies] = made.hashes[first] ^ np.where(exact[:, None], np.uint64(0), flips)
    made.files[copies] = np.where(exact, first, copies)
    scales = np.where(exact, 1, rng.choice([0.5, 0.8, 1, 1.7], len(copies)))
    made.sides[copies] = np.rint(made.sides[first] * scales[:, None])
    same = rng.random(len(copies)) >= OTHER_LANDMARK
    made.landmarks[copies[same]] = made.landmarks[first[same]]
    made.entropy[copies] = made.entropy[first]
    made.shows[copies] = first
    made.copies, made.first = copies, first


# ---- as gld2 download leaves them -----------------------------------------------------------


def write(made: Photos, source: pathlib.Path, output: Output, rng: np.random.Generator) -> None:
    """Metadata at the source; facts and the marks of finished units in the output."""
    ids = np.array([f"{number:016x}" for number in made.ids.tolist()])
    digests = np.array([4 * spread_out(number) for number in made.files.tolist()])
    for split, rows, size in (
        ("train", range(made.train), TRAIN_TAR),
        ("test", range(made.train, len(ids)), TEST_TAR),
    ):
        for number, start in enumerate(range(rows.start, rows.stop, size)):
            block = slice(start, min(start + size, rows.stop))
            name = f"{split}-images_{number:03d}"
            facts = _facts(made, block, ids, digests, rng)
            _write_unit(output, name, split, facts)
    _write_metadata(source / "metadata", ids, made, rng)


def _facts(
    made: Photos, block: slice, ids: np.ndarray, digests: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    number = block.stop - block.start
    lengths = rng.integers(20_000, 60_000, number)
    columns = {
        "id": ids[block],
        "offset": np.cumsum(lengths) - lengths,
        "length": lengths,
        "sha256": digests[block],
        "entropy": made.entropy[block],
        "width": made.sides[block, 0],
        "height": made.sides[block, 1],
        # The same file has the same size.
        "bytes": 100_000 + made.files[block] % 90_000,
    }
    return pd.DataFrame(columns | {name: made.hashes[block, n] for n, name in enumerate(HASHES)})


def _write_unit(output: Output, name: str, split: str, facts: pd.DataFrame) -> None:
    rows = facts.assign(split=split, unit=name, status=schema.STAGED, reason=None)
    digest = parquet.write(output.facts(name), rows, schema.FACTS)
    summary = UnitSummary(
        unit=name,
        split=split,
        source=name,
        md5=None,
        images=len(rows),
        staged=len(rows),
        rejected={},
        bytes=int(rows["bytes"].sum()),
        parameters=RecordParameters(NormalizationConfig()),
        facts_sha256=digest,
    )
    filesystem.write_record(output.done(name), summary)


def _write_metadata(
    folder: pathlib.Path, ids: np.ndarray, made: Photos, rng: np.random.Generator
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    train = pd.DataFrame({"id": ids, "landmark_id": made.landmarks})[: made.train]
    train.insert(1, "url", "https://upload.wikimedia.org/wikipedia/commons/" + train["id"] + ".jpg")
    train.to_csv(folder / "train.csv", index=False)
    clean = train[rng.random(made.train) < CLEAN].groupby("landmark_id")["id"].agg(" ".join)
    clean.rename("images").to_csv(folder / "train_clean.csv")
    pd.DataFrame({"id": ids[made.train :]}).to_csv(folder / "test.csv", index=False)


# ---- what gld2 curate makes of them ---------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One size, measured.

    Attributes:
      images: train's and test's.
      first, again: gld2 curate, and once more with another threshold, which finds the pairs made.
      missed: planted copies that stay beside their photo.
      planted: copies, in all.
      joined: photos with a partner among the pairs that is not the same.
      counters: of the search for pairs.
    """

    images: int
    first: Cost
    again: Cost
    missed: int
    planted: int
    joined: int
    counters: str

    @property
    def gigabytes(self) -> float:
        return max(self.first.together, self.again.together) / 1e3


def measure(train: int, looks: Looks, beam_flags: Sequence[str] = ()) -> Outcome:
    rng = np.random.default_rng(train)
    made = photos(train, looks, rng)
    with scratch() as folder:
        source, output = folder / "source", Output(str(folder / "output"))
        write(made, source, output, rng)
        words = ["curate", f"--source={source}", f"--output={output.root}", *beam_flags]
        first, again = (gld2(*words, f"--min_images_per_class={least}") for least in (4, 10))
        return _outcome(made, output, first, again)


def _outcome(made: Photos, output: Output, first: Cost, again: Cost) -> Outcome:
    decisions = read_tables(pathlib.Path(output.decisions))
    row = pd.Series(np.arange(len(made.ids)), made.ids)  # by id
    repeats = [int(image_id, 16) for image_id in decisions["id"][decisions["duplicate_of"].notna()]]
    stays = np.ones(len(made.ids), bool)
    stays[row[repeats]] = False
    found = read_tables(pathlib.Path(output.pairs("")))
    a, b = row[found["a"]].to_numpy(), row[found["b"]].to_numpy()
    wrong = made.shows[a] != made.shows[b]
    return Outcome(
        images=len(made.ids),
        first=first,
        again=again,
        missed=int((stays[made.copies] & stays[made.first]).sum()),
        planted=len(made.copies),
        joined=len(np.union1d(a[wrong], b[wrong])),
        counters=str(pair_search.counts(output)),
    )


def ratios() -> dict[str, list[float]]:
    looks = fit(planted.photos()[::8])
    one, four = (measure(train, looks) for train in (SMALL, 4 * SMALL))
    return {
        "time a row, over that of four times as many": [4 * one.first.cpu / four.first.cpu],
        "the same, once pairs are made": [4 * one.again.cpu / four.again.cpu],
        "memory a row, the same": [4 * one.gigabytes / four.gigabytes],
        "planted copies found": [1 - four.missed / four.planted],
        "photos not joined wrongly": [1 - four.joined / four.images],
    }


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--sizes", type=int, nargs="+", default=[250_000, 1_000_000, TRAIN])
    flags.add_argument("beam", nargs="*", help="after --: flags for gld2 curate")
    args = flags.parse_args()
    need(NEEDS)
    looks = fit(planted.photos())
    print("| images | s | GB | s again | planted | missed | joined wrongly |")
    print("|" + " --- |" * 7)
    for size in args.sizes:
        o = measure(size, looks, args.beam)
        print(
            f"| {o.images:,} | {o.first.seconds:.0f} | {o.gigabytes:.1f} | {o.again.seconds:.0f} "
            f"| {o.planted:,} | {o.missed:,} | {o.joined:,} | {o.counters}",
            flush=True,
        )


if __name__ == "__main__":
    main()
