"""Measures predictions on queries: Kaggle's GAP, accuracy, precision and recall."""

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
      accuracy: correct predictions / queries that have a landmark.
      precision: correct predictions / predictions.
      recall: correct predictions / queries that have a landmark, which is the recall at the end
        of the ranking; equal to the accuracy.
      macro_precision: the mean, over the landmarks that are predicted, of a landmark's correct
        predictions / its predictions.
      macro_recall: the mean, over the landmarks that queries show, of the share of a landmark's
        queries whose prediction is correct. A query that shows several landmarks counts for each
        of them, and a prediction of any of them is correct.
      queries: number of rows of the solution.
      labelled: number of queries with at least one landmark.
      predicted: number of queries with a prediction.
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
      landmarks: [queries] str, the landmarks that each shows, as in a Solution.
      predicted: [queries] bool, whether there is a prediction.
      classes: [queries] int64, the predicted landmark; undefined where there is no prediction.
      scores: [queries] float, of the prediction; undefined where there is none.
    """

    ids: np.ndarray
    landmarks: np.ndarray
    predicted: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Queries:
        """Returns the rows of a mask, [queries] bool."""
        return Queries(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    @property
    def labelled(self) -> np.ndarray:
        """[queries] bool, whether a query shows a landmark."""
        return self.landmarks != ""


def positions(ids: Collection[str], among: Iterable[str]) -> np.ndarray:
    """Returns [ids] int64, the index of each id among others, or -1 where it is not there."""
    places = {name: place for place, name in enumerate(among)}
    return np.fromiter((places.get(name, -1) for name in ids), np.int64, len(ids))


def is_correct(landmarks: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns [queries] bool, whether each class is among the landmarks that its query shows.

    `landmarks` is [queries] str, `classes` [queries] int64, both as in Queries.
    """
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
    """Returns the metrics of some queries, of which `ranked` is the ranking."""
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
    """Returns the mean over landmarks of the share that is correct; 0 where there are none."""
    _, codes = np.unique(landmarks, return_inverse=True)
    shares = np.bincount(codes, correct.astype(float)) / np.bincount(codes)
    return float(shares.mean()) if len(shares) else 0.0
