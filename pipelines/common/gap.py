"""Global Average Precision (micro AP at 1), exactly as Kaggle scores landmark recognition."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipelines.common.errors import UserError


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Predictions in rank order.

    Attributes:
      order: [predictions] int64, indices into the predictions as they were given.
      correct: [predictions] bool, in rank order.
      labelled: M, the queries that have at least one landmark.
    """

    order: np.ndarray
    correct: np.ndarray
    labelled: int

    @property
    def precision(self) -> np.ndarray:
        """[predictions] float64: the share of right ones among the first i + 1."""
        return np.cumsum(self.correct) / np.arange(1, len(self.correct) + 1)

    @property
    def recall(self) -> np.ndarray:
        """[predictions] float64: right ones among the first i + 1, of all labelled queries."""
        return np.cumsum(self.correct) / self.labelled

    @property
    def gap(self) -> float:
        """(1/M) * sum of P(i) * rel(i) over ranks i."""
        return float(np.sum(self.precision * self.correct) / self.labelled)


def rank(ids, classes, scores, correct, labelled: int) -> Ranking:
    """Ranks predictions: score descending, then id ascending, then class ascending.

    Source: Perronnin, Liu and Renders, "A family of contextual measures of
    similarity between distributions with application to image retrieval",
    CVPR 2009; ties as in Kaggle's landmark recognition metric.

    Args:
      ids: [predictions] str, the query's id.
      classes: [predictions] int64, the predicted class.
      scores: [predictions] float, any finite value.
      correct: [predictions] bool, whether the class is among the query's.
      labelled: queries that have at least one class, predicted or not.

    Raises:
      UserError: no query has a class, so that GAP is not defined.
    """
    if labelled < 1:
        raise UserError("GAP is not defined: no query of this subset has a landmark")
    order = np.lexsort((np.asarray(classes), np.asarray(ids), -np.asarray(scores, np.float64)))
    return Ranking(order, np.asarray(correct, bool)[order], labelled)


def harmonic_numbers(largest: int) -> np.ndarray:
    """[largest + 1] float64, the harmonic numbers 0, 1, 1 + 1/2, ..."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, largest + 1))])


def resampled_gap(correct: np.ndarray, times: np.ndarray, labelled: int, sums: np.ndarray) -> float:
    """GAP of a ranking in which each prediction comes so many times, as a resample has them.

    Copies of a prediction take ranks next to each other. Those of a right one, at ranks b + 1 to
    e behind w wrong ones, add the precisions (r - w) / r, which is (e - b) - w (H(e) - H(b)).

    Args:
      correct: [right] int64, ranks of the right predictions, from 0.
      times: [predictions] int, how often each comes, in rank order.
      labelled: queries that have a class, counted as often as they come; at least 1.
      sums: `harmonic_numbers` of at least the sum of `times`.
    """
    copies = times[correct]
    end = np.cumsum(times)[correct]
    wrong = end - np.cumsum(copies)
    return float(np.sum(copies - wrong * (sums[end] - sums[end - copies])) / labelled)
