"""A test split against Kaggle's solution file, as `gld2 evaluate` measures a submission."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.common import gap
from pipelines.common.errors import UserError
from pipelines.common.labels import Label
from trainer import gfile

if TYPE_CHECKING:
    import keras

HEADER = ["id", "landmarks", "Usage"]
PUBLIC, PRIVATE, IGNORED = USAGES = ("Public", "Private", "Ignored")
_LANDMARKS = re.compile(r"(\d+( \d+)*)?\Z", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Query:
    """A row of the solution: the landmarks that its photo shows, perhaps none, and its usage."""

    landmarks: frozenset[int]
    usage: str


Solution = Mapping[str, Query]  # by the photo's id


@dataclasses.dataclass(frozen=True)
class Scored:
    """What a network says of a split's photos.

    Attributes:
      ids: [photos] str.
      landmarks: [photos] int64, the landmark of the best class.
      scores: [photos] float32, of that class.
      true: [photos] float32, sum of the scores of the landmarks that the solution names.
    """

    ids: np.ndarray
    landmarks: np.ndarray
    scores: np.ndarray
    true: np.ndarray


def read(path: str) -> Solution:
    """Reads a solution file.

    Raises:
      UserError: naming the row: a wrong header, cell or usage, or a repeated id.
    """
    rows = csv.reader(io.StringIO(gfile.read(path).removeprefix("\ufeff")))
    header = next(rows, [])
    if header != HEADER:
        found = ",".join(header)
        raise UserError(f"{path} row 1: expected the header {','.join(HEADER)}, found {found}")
    queries: dict[str, Query] = {}
    for number, row in enumerate(rows, start=2):
        expected = _fault(row, queries)
        if expected:
            raise UserError(f"{path} row {number}: expected {expected}, found {','.join(row)!r}")
        queries[row[0]] = Query(frozenset(map(int, row[1].split())), row[2])
    if not any(query.landmarks and query.usage != IGNORED for query in queries.values()):
        raise UserError(f"{path}: GAP is not defined: no query has a landmark, Ignored left out")
    return queries


def _fault(row: list[str], before: Mapping[str, Query]) -> str:
    """What was expected of a row, or '' where it is as it should be."""
    if len(row) != len(HEADER):
        return f"{len(HEADER)} cells"
    if row[0] in before:
        return "each id once"
    if not _LANDMARKS.match(row[1]):
        return "space-separated integers or nothing"
    return "" if row[2] in USAGES else " or ".join(USAGES)


def predict(
    scorer: keras.Model, batches: Iterable, labels: Sequence[Label], solution: Solution
) -> Scored:
    """Runs a network over photos; the scores of one batch at a time are in memory.

    Args:
      scorer: [batch, size, size, 3] to [batch, classes] scores.
      batches: as data.evaluation gives them.
      labels: the classes.
      solution: the truth; photos that it does not name have a true probability of 0.
    """
    columns = {label.landmark_id: label.label for label in labels}
    landmarks = np.array([label.landmark_id for label in labels])
    parts = []
    for photos, _, ids in batches:
        scores = np.asarray(scorer.predict_on_batch(photos.numpy()))
        names = np.array([name.decode() for name in ids.numpy()])
        best = scores.argmax(axis=1)
        true = [_true(row, solution.get(n), columns) for row, n in zip(scores, names, strict=True)]
        parts.append((names, landmarks[best], scores.max(axis=1), np.array(true, np.float32)))
    return Scored(*map(np.concatenate, zip(*parts, strict=True)))


def _true(scores: np.ndarray, query: Query | None, columns: Mapping[int, int]) -> float:
    named = query.landmarks if query else ()
    return float(scores[[columns[one] for one in named if one in columns]].sum())


def measure(found: Scored, solution: Solution) -> dict[str, float]:
    """The figures of Public and Private queries together, and the GAP of each.

    Returns:
      gap; gap_public and gap_private where they are defined; accuracy, of the queries that have a
      landmark; precision, of the predictions; recall, which is the accuracy; and
      mean_true_probability, over the queries that have a landmark. A query without a photo counts
      as one without a prediction.
    """
    both = _ranking(found, solution, (PUBLIC, PRIVATE))
    right, predicted = int(both.correct.sum()), len(both.correct)
    values = {
        "gap": both.gap,
        "accuracy": right / both.labelled,
        "precision": right / predicted if predicted else 0.0,
        "recall": right / both.labelled,
        "mean_true_probability": float(_among(found, solution)) / both.labelled,
    }
    for usage in (PUBLIC, PRIVATE):
        if _labelled(solution, (usage,)):
            values[f"gap_{usage.lower()}"] = _ranking(found, solution, (usage,)).gap
    return values


def coverage(found: Scored, solution: Solution) -> str:
    """How the photos and the solution's rows meet, in words."""
    ids = set(found.ids.tolist())
    scored = [name for name, query in solution.items() if query.usage != IGNORED]
    return (
        f"{len(scored):,} queries ({_labelled(solution, (PUBLIC, PRIVATE)):,} with a landmark), "
        f"{sum(name not in ids for name in scored):,} of them without a photo; "
        f"{len(solution) - len(scored):,} ignored; "
        f"{sum(name not in solution for name in ids):,} photos that the solution does not name"
    )


def _ranking(found: Scored, solution: Solution, usages: tuple[str, ...]) -> gap.Ranking:
    used = _used(found, solution, usages)
    ids, landmarks = found.ids[used], found.landmarks[used]
    correct = [
        one in solution[name].landmarks
        for name, one in zip(ids.tolist(), landmarks.tolist(), strict=True)
    ]
    return gap.rank(ids, landmarks, found.scores[used], correct, _labelled(solution, usages))


def _among(found: Scored, solution: Solution) -> float:
    return found.true[_used(found, solution, (PUBLIC, PRIVATE))].sum(dtype=np.float64)


def _used(found: Scored, solution: Solution, usages: tuple[str, ...]) -> np.ndarray:
    """[photos] bool: whether the solution has it, for one of these usages."""
    return np.array([n in solution and solution[n].usage in usages for n in found.ids.tolist()])


def _labelled(solution: Solution, usages: tuple[str, ...]) -> int:
    return sum(bool(query.landmarks) and query.usage in usages for query in solution.values())
