"""How fast the search for neighbours is, that it is exact, and what memory it takes.

    python -m tests.benchmarks.neighbours --rows 50000 200000 --queries 2000

Embeddings are generated: directions at random, some of them twice so that similarities tie. They
are written as gld2 embed writes them, in files of 10,000. What is timed is the whole step of gld2
score --rerank: the photos' neighbours, how much these and the photos look like 20,000 of no
landmark, and the evidence written; each index in a process of its own. Brute force holds all of the
index at once, and sorts all rows for one query after the other, by similarity and then by id. Linux
alone tells peaks.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

import numpy as np
import pyarrow as pa

from pipelines.common import schema
from pipelines.score import prediction_store
from pipelines.score.model import Prediction
from pipelines.score.prediction_store import Parts, ScoredPhoto
from pipelines.score.rerank import non_landmarks
from pipelines.score.rerank import pipeline as rerank_pipeline
from pipelines.score.rerank.reranking import NEIGHBOURS
from pipelines.storage import parquet
from tests.benchmarks.costs import Cost, Watch, alone, parser, scratch, spread_out

FEATURES, IN_A_FILE, TWICE = 512, 10_000, 100  # one row in so many is another one's copy
QUERY, OTHER = 2**32, 2**33  # seeds, and the first rows, of queries and of non-landmark photos
NEEDS: tuple[pathlib.Path, ...] = ()
FLAT = 1.1  # goal: of the peak, for an index four times as large


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search gave and took.

    Attributes:
      ids, similarities: [queries, NEIGHBOURS] of the neighbours.
      cost: files read, searched and written; its memory is the process's peak.
      before: MB, that peak before the search.
    """

    ids: np.ndarray
    similarities: np.ndarray
    cost: Cost
    before: float


def vectors(seed: int, rows: int) -> np.ndarray:
    """[rows, FEATURES] float32 of length 1."""
    found = np.random.default_rng(seed).normal(size=(rows, FEATURES)).astype(np.float32)
    found[1::TWICE] = found[: len(found[1::TWICE]) * TWICE : TWICE]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def write(folder: pathlib.Path, rows: int) -> list[str]:
    """An index as gld2 embed leaves it; returns its parts' names."""
    units = []
    for start in range(0, rows, IN_A_FILE):
        units.append(f"part-{start:08d}")
        some = embedded(start, vectors(start, min(IN_A_FILE, rows - start)))
        Parts(str(folder)).write(units[-1], start, some, [])
    return units


def embedded(first: int, found: np.ndarray) -> list[ScoredPhoto]:
    """Photos of these embeddings, each of a landmark of its own; there are no scores."""
    none = np.zeros(0)
    return [
        ScoredPhoto(spread_out(first + n), first + n, Prediction(none, none, vector))
        for n, vector in enumerate(found)
    ]


def ask(folder: pathlib.Path, queries: np.ndarray) -> None:
    """Scored photos as gld2 score leaves them, and photos of no landmark."""
    Parts(str(folder / "scored")).write("test", "", embedded(QUERY, queries), [])
    other = vectors(OTHER, non_landmarks.MOST)
    columns = {"id": [spread_out(OTHER + n) for n in range(len(other))], "embedding": list(other)}
    table = pa.table(columns, parquet.arrow_schema(schema.NON_LANDMARKS))
    parquet.write_table(f"{folder}/found/non_landmarks.parquet", table)


def blocked(folder: pathlib.Path, units: list[str]) -> Found:
    """The step of gld2 score --rerank."""
    scored, index = Parts(str(folder / "scored")), Parts(str(folder))
    where = rerank_pipeline.Search(scored, index, tuple(units), str(folder / "found"))
    before = _peak()
    watch = Watch()
    rerank_pipeline.find_evidence("test", where)
    cost = dataclasses.replace(watch.stop(), largest=_peak())
    table = parquet.read_table(where.evidence("test"), schema.EVIDENCE)
    ids = np.array(table["neighbours"].to_pylist())
    similarities = prediction_store.matrix(table, "similarities")
    return Found(ids, similarities, cost, before)


def search(rows: int, queries: np.ndarray) -> Found:
    """That step over so many rows, in a process of its own."""
    with scratch() as folder:
        units = write(folder, rows)
        ask(folder, queries)
        return alone(blocked, folder, units)


def _peak() -> float:
    """Of this process alone: getrusage's would be its parent's where that was larger."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1e3  # type: ignore[index]


def brute(rows: int, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray, Cost]:
    """Similarities and ids [queries, NEIGHBOURS], and what the product and the sort took."""
    index = np.concatenate(
        [vectors(n, min(IN_A_FILE, rows - n)) for n in range(0, rows, IN_A_FILE)]
    )
    ids = np.array([spread_out(n) for n in range(rows)])
    by_id = np.argsort(ids)
    index, ids = index[by_id], ids[by_id]
    watch = Watch()
    columns = []
    for query in queries:  # ids ascend, so a stable sort puts ties right
        columns.append(np.argsort(-(index @ query), kind="stable")[:NEIGHBOURS])
    chosen = np.array(columns)
    similarities = np.einsum("qkf,qf->qk", index[chosen], queries)
    return similarities, ids[chosen], watch.stop()


def equal(found: Found, ids: np.ndarray) -> np.ndarray:
    """[queries] whether all neighbours of a query are these."""
    return (found.ids[: len(ids)] == ids).all(axis=1)


def ratios(rows: int = 20_000, asked: int = 2000, checked: int = 100) -> dict[str, list[float]]:
    queries = vectors(QUERY, asked)
    speeds, same, flat = [], [], []
    for _ in range(2):
        few, many = search(rows, queries), search(3 * rows, queries)
        _, ids, cost = brute(3 * rows, queries[:checked])
        speeds.append(cost.cpu / checked / (many.cost.cpu / asked))
        same.append(equal(many, ids).mean())
        flat.append(few.cost.largest / many.cost.largest)
    return {
        "speed beside brute force": speeds,
        "photos whose neighbours are the same": same,
        "peak memory, over that of an index three times as large": flat,
    }


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000])
    flags.add_argument("--queries", type=int, default=2000)
    flags.add_argument("--checked", type=int, default=200, help="queries for brute force")
    args = flags.parse_args()
    queries = vectors(QUERY, args.queries)
    peaks = []
    for rows in args.rows:
        found = search(rows, queries)
        similarities, ids, cost = brute(rows, queries[: args.checked])
        peaks.append(found.cost.largest)
        off = np.abs(found.similarities[: args.checked] - similarities).max()
        print(
            f"{rows} x {FEATURES}: {args.queries / found.cost.seconds:.0f} photos/s, brute force "
            f"{args.checked / cost.seconds:.0f}; {peaks[-1]:.0f} MB at the peak, "
            f"{found.before:.0f} MB before; the same neighbours of "
            f"{equal(found, ids).sum()} of {args.checked}, similarities within {off:.1e}",
            flush=True,
        )
    print(f"growth {peaks[-1] / peaks[0]:.2f}; goal: under {FLAT}")


if __name__ == "__main__":
    main()
