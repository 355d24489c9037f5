"""Measures a network on a test split by Kaggle's solution, as `gld2 evaluate` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipelines.common import metrics, solution
from pipelines.common.errors import UserError
from pipelines.common.labels import Label
from pipelines.common.metrics import Queries
from pipelines.common.solution import IGNORED, Solution
from trainer import gfile

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class ScoredSplit:
    """A network's predictions of a split's photos.

    Attributes:
      ids: [photos] str.
      landmarks: [photos] int64, the landmark of the best class.
      scores: [photos] float32, the scores of that class.
      true: [photos] float32, the sum of the scores of the photo's true landmarks.
    """

    ids: np.ndarray
    landmarks: np.ndarray
    scores: np.ndarray
    true: np.ndarray


def read(path: str) -> Solution:
    """Reads a solution file.

    Raises:
      UserError: a header, cell or usage is wrong, an id is repeated (the message names the row),
        or no query has a landmark.
    """
    found = solution.parse(gfile.read(path), path)
    if not any(found.landmarks[found.usages != IGNORED]):
        raise UserError(f"{path}: GAP is not defined: no query has a landmark, Ignored left out")
    return found


def predict(
    scorer: keras.Model, batches: Iterable, labels: Sequence[Label], truth: Solution
) -> ScoredSplit:
    """Runs a network on photos, holding the scores of one batch at a time in memory.

    Args:
      scorer: [batch, size, size, 3] to [batch, classes] scores.
      batches: as input_pipeline.evaluation returns them.
      labels: the classes.
      truth: the solution; photos that it does not name have a true probability of 0.
    """
    columns = _columns(labels, truth)
    landmarks = np.array([label.landmark_id for label in labels])
    parts = []
    for photos, _, ids in batches:
        scores = np.asarray(scorer.predict_on_batch(photos.numpy()))
        names = np.array([name.decode() for name in ids.numpy()])
        best = scores.argmax(axis=1)
        true = [row[list(columns.get(n, ()))].sum() for row, n in zip(scores, names, strict=True)]
        parts.append((names, landmarks[best], scores.max(axis=1), np.array(true, np.float32)))
    return ScoredSplit(*map(np.concatenate, zip(*parts, strict=True)))


def _columns(labels: Sequence[Label], truth: Solution) -> dict[str, set[int]]:
    """Returns the network's output columns of each photo's true landmarks, by photo id."""
    outputs = {label.landmark_id: label.label for label in labels}
    found: dict[str, set[int]] = {}
    for query, landmark in zip(*solution.truth(truth.landmarks), strict=True):
        if landmark in outputs:
            found.setdefault(truth.ids[query], set()).add(outputs[landmark])
    return found


def measure(found: ScoredSplit, truth: Solution) -> dict[str, float]:
    """Returns the metrics of Public and Private queries together, and the GAP of each.

    Returns:
      gap; gap_public and gap_private where they are defined; accuracy, of the queries that have a
      landmark; precision, of the predictions; recall, which is the accuracy; and
      mean_true_probability, over the queries that have a landmark. A query without a photo counts
      as one without a prediction.
    """
    places = metrics.positions(found.ids.tolist(), truth.ids)
    parts = {name: np.isin(truth.usages, usages) for name, usages in metrics.SUBSETS.items()}
    queries = _queries(found, truth, places)
    both = queries[parts["all"]]
    scores = metrics.score(both, metrics.ranking(both))
    used = (places >= 0) & parts["all"][places]
    true = found.true[used].sum(dtype=np.float64)
    values = {name: getattr(scores, name) for name in ("gap", "accuracy", "precision", "recall")}
    values["mean_true_probability"] = float(true) / scores.labelled
    for name in ("public", "private"):
        part = queries[parts[name]]
        if part.labelled.any():
            values[f"gap_{name}"] = metrics.ranking(part).gap
    return values


def coverage(found: ScoredSplit, truth: Solution) -> str:
    """Returns a sentence that counts the solution's queries and those without photos."""
    scored = truth.usages != IGNORED
    labelled = (truth.landmarks[scored] != "").sum()
    missing = (metrics.positions(truth.ids[scored], found.ids.tolist()) < 0).sum()
    unnamed = (metrics.positions(found.ids.tolist(), truth.ids) < 0).sum()
    return (
        f"{scored.sum():,} queries ({labelled:,} with a landmark), "
        f"{missing:,} of them without a photo; {(~scored).sum():,} ignored; "
        f"{unnamed:,} photos that the solution does not name"
    )


def _queries(found: ScoredSplit, truth: Solution, places: np.ndarray) -> Queries:
    """Joins the solution's rows with the network's predictions.

    Args:
      found: predictions of photos.
      truth: the solution.
      places: [photos] int64, each photo's row in the solution, or -1.
    """
    predicted, classes = np.zeros(len(truth.ids), bool), np.zeros(len(truth.ids), np.int64)
    scores = np.zeros(len(truth.ids), found.scores.dtype)
    named = places >= 0
    rows = places[named]
    predicted[rows], classes[rows], scores[rows] = True, found.landmarks[named], found.scores[named]
    return Queries(truth.ids, truth.landmarks, predicted, classes, scores)
