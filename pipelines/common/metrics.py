"""How good predictions are on some queries: Kaggle's GAP, and plainer figures"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

import numpy as np

from pipelines.common.gap import Ranking, rank
from pipelines.common.solution import PRIVATE, PUBLIC, truth

SUBSETS = {"all": (PUBLIC, PRIVATE), "public": (PUBLIC,), "private": (PRIVATE,)}


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Scores of one subset of queries.

    Attributes:
      gap: Global Average Precision.
      accuracy: right predictions / queries that have a landmark.
      precision: right predictions / predictions.
      recall: right predictions / queries that have a landmark, as a ranking has
        it at its end; it is the accuracy, by its other name.
      macro_precision: the mean, over the landmarks that are predicted, of a
        landmark's right predictions / its predictions.
      macro_recall: the mean, over the landmarks that queries show, of the share
        of a landmark's queries whose prediction is right. A query that shows
        several counts for each of them, and any of them is right.
      queries: rows of the solution.
      labelled: of them, with at least one landmark.
      predicted: of them, with a prediction.
    """

    gap: float
    accuracy: float
    precision: float
    recall: float
    macro_precision: float
    macro_recall: float
    queries: int
    labelled: int
    predicted: int


@dataclasses.dataclass(frozen=True, eq=False)
class Queries:
    """Some rows of a solution, each with at most one prediction.

    Attributes:
      ids: [queries] str.
      landmarks: [queries] str, what each shows, as in a Solution.
      predicted: [queries] bool, whether there is a prediction.
      classes: [queries] int64, the landmark that is predicted; anything where there is none.
      scores: [queries] float, likewise.
    """

    ids: np.ndarray
    landmarks: np.ndarray
    predicted: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Queries:
        """Takes some of the rows: [queries] bool."""
        return Queries(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    @property
    def labelled(self) -> np.ndarray:
        """[queries] bool, whether a query shows a landmark."""
        return self.landmarks != ""


def positions(ids: Collection[str], among: Iterable[str]) -> np.ndarray:
    """Finds ids among others: [ids] int64, the place of each, or -1."""
    places = {name: place for place, name in enumerate(among)}
    return np.fromiter((places.get(name, -1) for name in ids), np.int64, len(ids))


def is_correct(landmarks: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Tells whether classes are among the landmarks that queries show; each is [queries]."""
    queries, shown = truth(landmarks)
    correct = np.zeros(len(landmarks), bool)
    correct[queries[classes[queries] == shown]] = True
    return correct


def ranking(queries: Queries) -> Ranking:
    """Ranks the predictions of some queries.

    Raises:
      UserError: none of them has a landmark, so that GAP is not defined.
    """
    made = queries[queries.predicted]
    correct = is_correct(made.landmarks, made.classes)
    return rank(
        made.ids.astype(str), made.classes, made.scores, correct, int(queries.labelled.sum())
    )


def score(queries: Queries, ranked: Ranking) -> Metrics:
    """Measures some queries by their ranking."""
    right, made = int(ranked.correct.sum()), len(ranked.correct)
    correct = is_correct(queries.landmarks, queries.classes) & queries.predicted
    places, shown = truth(queries.landmarks)
    classes = queries.classes[queries.predicted]
    recall = right / ranked.labelled
    return Metrics(
        gap=ranked.gap,
        accuracy=recall,
        precision=right / made if made else 0.0,
        recall=recall,
        macro_precision=_macro(classes, correct[queries.predicted]),
        macro_recall=_macro(shown, correct[places]),
        queries=len(queries.ids),
        labelled=ranked.labelled,
        predicted=made,
    )


def _macro(landmarks: np.ndarray, correct: np.ndarray) -> float:
    """The mean over landmarks of the share that is correct; 0 where there are none."""
    _, codes = np.unique(landmarks, return_inverse=True)
    shares = np.bincount(codes, correct.astype(float)) / np.bincount(codes)
    return float(shares.mean()) if len(shares) else 0.0
