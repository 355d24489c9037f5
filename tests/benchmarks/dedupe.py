"""How many planted near-duplicates gld2 curate finds, and how many different photos it joins.

    python -m tests.benchmarks.dedupe --imagededup PYTHON_THAT_HAS_IT
    python -m tests.benchmarks.dedupe --photos 60

Each real photo comes with a copy of each kind, and with four crops of three fifths a side, which
count as different photos but are not compared with their own photo. gld2 download and gld2 curate
run on these files as a user runs them; beside them imagededup's PHash.find_duplicates as it comes,
or, without it, an exhaustive search over ImageHash's phash, within the same 10 bits.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipelines.common import paths
from tests import planted
from tests.benchmarks.costs import met, need, parser, scratch
from tests.conftest import MINI, gld2
from tests.planted import KINDS

ORIGINAL, CROP = "original", "crop"
RADIUS = 10  # bits of 64; imagededup's default
MOST_WRONG = 0.001  # of photos
NEEDS = (MINI,)
FIND = (
    "import json, sys; from imagededup.methods import PHash\n"
    "found = PHash(verbose=False).find_duplicates(image_dir=sys.argv[1], recursive=True)\n"
    "json.dump(found, sys.stdout)"
)


@dataclasses.dataclass(frozen=True)
class Side:
    """What one search found.

    Attributes:
      name: for a person.
      joined: [photos, photos] bool, symmetric: which are called the same photo.
      seconds: from files to pairs.
    """

    name: str
    joined: np.ndarray
    seconds: float


# ---- the photos -----------------------------------------------------------------------------


def lay_out(folder: pathlib.Path, number: int | None) -> pd.DataFrame:
    """Writes photos, copies and crops in Kaggle's layout; returns id, kind, landmark_id of each.

    Each original has a landmark of its own, and so have its copies and crops.
    """
    originals = list(enumerate(planted.photos()[:number]))
    with ProcessPoolExecutor(2) as pool:
        rows = [
            row
            for some in pool.map(functools.partial(_write, folder), originals, chunksize=8)
            for row in some
        ]
    files = pd.DataFrame(rows, columns=["id", "kind", "landmark_id"])
    files[["id", "landmark_id"]].to_csv(folder / paths.KAGGLE_TRAIN_CSV, index=False)
    return files


def _write(folder: pathlib.Path, original: tuple[int, bytes]) -> list[tuple[str, str, int]]:
    number, data = original
    image = planted.opened(data)
    files = [(ORIGINAL, data), *((kind.name, kind.copy(image)) for kind in KINDS)]
    files += [(CROP, planted.jpeg(crop)) for crop in planted.corners(image)]
    rows = []
    for file, (kind, content) in enumerate(files):
        image_id = hashlib.sha256(f"{number}/{file}".encode()).hexdigest()[:16]
        path = folder / paths.photo("train", image_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        rows.append((image_id, kind, number))
    return rows


# ---- the searches ---------------------------------------------------------------------------


def ours(source: pathlib.Path, output: pathlib.Path, ids: pd.Series) -> Side:
    started = time.perf_counter()
    gld2("download", source=source, output=output, split="train")
    gld2("curate", source=source, output=output, split="train", min_images_per_class=1)
    seconds = time.perf_counter() - started
    return Side("gld2", _joined(output / "pairs", ids), seconds)


def _joined(folder: pathlib.Path, ids: pd.Series) -> np.ndarray:
    """Photos alike in every bit are paired with one of them alone, which stands for all."""
    pairs = pd.concat(map(pd.read_parquet, sorted(folder.glob("*.parquet"))))
    number = pd.Series(np.arange(len(ids)), [int(image_id, 16) for image_id in ids])
    a, b = number[pairs["a"]].to_numpy(), number[pairs["b"]].to_numpy()
    same = ((pairs["distance"] == 0) & (pairs["fine"] == 0)).to_numpy()
    links = coo_array((same[same], (a[same], b[same])), (len(ids), len(ids)))
    looks, look = connected_components(links)
    joined = np.eye(looks, dtype=bool)
    joined[look[a], look[b]] = joined[look[b], look[a]] = True
    return joined[np.ix_(look, look)]


def imagededup(python: str, source: pathlib.Path, ids: pd.Series) -> Side:
    started = time.perf_counter()
    words = [python, "-c", FIND, str(source / "train")]
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    seconds = time.perf_counter() - started
    number = {image_id: n for n, image_id in enumerate(ids)}
    joined = np.eye(len(ids), dtype=bool)
    for path, others in found.items():
        partners = [number[pathlib.Path(other).stem] for other in others]
        joined[number[pathlib.Path(path).stem], partners] = True
    return Side("imagededup", joined | joined.T, seconds)


def exhaustive(source: pathlib.Path, ids: pd.Series) -> Side:
    started = time.perf_counter()
    photos = [source / paths.photo("train", image_id) for image_id in ids]
    with ProcessPoolExecutor(2) as pool:
        hashes = np.array(list(pool.map(_phash, photos, chunksize=64)), np.uint64)
    joined = np.array([np.bitwise_count(one ^ hashes) <= RADIUS for one in hashes])
    return Side("ImageHash", joined, time.perf_counter() - started)


def _phash(path: pathlib.Path) -> int:
    return int(str(imagehash.phash(Image.open(path))), 16)


# ---- what came of it ------------------------------------------------------------------------


def recall(side: Side, files: pd.DataFrame, kind: str) -> float:
    """Share of the originals that are joined with their copy of this kind."""
    pairs = [files.index[files["kind"] == name] for name in (ORIGINAL, kind)]
    return float(side.joined[*pairs].mean())


def wrong(side: Side, files: pd.DataFrame) -> tuple[float, float, float]:
    """Shares that are joined with a different photo, and share of such pairs that are joined.

    Returns:
      of all photos; of originals and crops among themselves, as a photo that
      looks like another takes all its copies along; of pairs.
    """
    shows = files["landmark_id"].to_numpy()
    different = shows[:, None] != shows
    joined = side.joined & different
    single = np.flatnonzero(files["kind"].isin([ORIGINAL, CROP]))
    singles = joined[np.ix_(single, single)]
    return joined.any(axis=1).mean(), singles.any(axis=1).mean(), joined.sum() / different.sum()


def table(sides: list[Side], files: pd.DataFrame) -> str:
    names = [side.name for side in sides]
    rows = [["", *names, "goal", ""], ["---"] * (len(names) + 3)]
    for kind in KINDS:
        found = [recall(side, files, kind.name) for side in sides]
        goal = [f"{kind.goal}", met(found[0] >= kind.goal)]
        rows.append([kind.name, *(f"{share:.3f}" for share in found), *goal])
    all_photos, singles, pairs = zip(*(wrong(side, files) for side in sides), strict=True)
    for what, shares in (("photos", all_photos), ("originals and crops", singles)):
        goal = [f"{MOST_WRONG:.1%}", met(shares[0] <= MOST_WRONG)]
        joined = f"{what} joined with a different one"
        rows.append([joined, *(f"{share:.3%}" for share in shares), *goal])
    rows.append(["pairs of different photos joined", *(f"{share:.1e}" for share in pairs), "", ""])
    rows.append(["seconds", *(f"{side.seconds:.0f}" for side in sides), "", ""])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def searched(
    photos: int | None, other: Callable[[pathlib.Path, pd.Series], Side]
) -> tuple[pd.DataFrame, list[Side]]:
    """The files, and what both searches found in them."""
    with scratch() as folder:
        files = lay_out(folder / "source", photos)
        sides = [
            ours(folder / "source", folder / "output", files["id"]),
            other(folder / "source", files["id"]),
        ]
    return files, sides


def ratios(photos: int = 60) -> dict[str, list[float]]:
    files, sides = searched(photos, exhaustive)
    found, other = (
        sum(recall(side, files, kind.name) for kind in KINDS) / len(KINDS) for side in sides
    )
    return {
        "copies found": [found],
        "copies found, beside ImageHash": [found / other],
        "originals and crops not joined wrongly": [1 - wrong(sides[0], files)[1]],
    }


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--photos", type=int, help="the first so many (default: all)")
    flags.add_argument("--imagededup", help="a python that has it, in an environment of its own")
    args = flags.parse_args()
    need(NEEDS)
    other = functools.partial(imagededup, args.imagededup) if args.imagededup else exhaustive
    files, sides = searched(args.photos, other)
    print(f"{len(files)} photos: originals, {len(KINDS)} copies and 4 crops of each")
    print(table(sides, files))


if __name__ == "__main__":
    main()
