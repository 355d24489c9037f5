"""Computes Global Average Precision (micro AP at 1), as Kaggle scores landmark recognition."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipelines.common.errors import UserError


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Predictions in rank order.

    Attributes:
      order: [predictions] int64, indices into the predictions in their given order.
      correct: [predictions] bool, in rank order.
      labelled: M, the number of queries with at least one landmark.
    """

    order: np.ndarray
    correct: np.ndarray
    labelled: int

    @property
    def precision(self) -> np.ndarray:
        """Returns the precision of the first i + 1 predictions, [predictions] float64."""
        return np.cumsum(self.correct) / np.arange(1, len(self.correct) + 1)

    @property
    def recall(self) -> np.ndarray:
        """Returns the recall of the first i + 1 predictions, [predictions] float64."""
        return np.cumsum(self.correct) / self.labelled

    @property
    def gap(self) -> float:
        """Returns GAP: (1/M) * sum of P(i) * rel(i) over ranks i."""
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
      labelled: number of queries with at least one class, predicted or not.

    Raises:
      UserError: no query has a class, so that GAP is undefined.
    """
    if labelled < 1:
        raise UserError("GAP is not defined: no query of this subset has a landmark")
    order = np.lexsort((np.asarray(classes), np.asarray(ids), -np.asarray(scores, np.float64)))
    return Ranking(order, np.asarray(correct, bool)[order], labelled)


def harmonic_numbers(largest: int) -> np.ndarray:
    """Returns the harmonic numbers 0, 1, 1 + 1/2, ..., [largest + 1] float64."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, largest + 1))])


def resampled_gap(correct: np.ndarray, times: np.ndarray, labelled: int, sums: np.ndarray) -> float:
    """Returns the GAP of a bootstrap resample, in which predictions are repeated.

    Copies of a prediction have adjacent ranks. Those of a correct one, at ranks b + 1 to e behind
    w wrong ones, add the precisions (r - w) / r, in sum (e - b) - w (H(e) - H(b)).

    Args:
      correct: [correct] int64, ranks of the correct predictions, from 0.
      times: [predictions] int, number of copies of each prediction, in rank order.
      labelled: number of queries with a class, each counted with its copies; at least 1.
      sums: [largest + 1] float64, `harmonic_numbers` of at least the sum of `times`.
    """
    copies = times[correct]
    end = np.cumsum(times)[correct]
    wrong = end - np.cumsum(copies)
    return float(np.sum(copies - wrong * (sums[end] - sums[end - copies])) / labelled)
