"""Metrics of arrays, which need neither pandas nor Arrow."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipelines.common import metrics
from pipelines.common.errors import UserError


def queries(landmarks: list[str], classes: list[int], scores: list[float]) -> metrics.Queries:
    """Queries a, b, c, ... of which those with class -1 have no prediction."""
    ids = np.array([chr(ord("a") + n) for n in range(len(landmarks))], object)
    shown = np.array(landmarks, object)
    predicted = np.array(classes) >= 0
    return metrics.Queries(ids, shown, predicted, np.array(classes), np.array(scores, np.float32))


def test_by_hand():
    found = queries(["5", "7 8", "", "9", ""], [5, 8, 5, 1, -1], [0.8, 0.9, 0.8, 0.4, 1])
    ranked = metrics.ranking(found)
    assert dataclasses.astuple(metrics.score(found, ranked)) == pytest.approx(
        (2 / 3, 2 / 3, 2 / 4, 2 / 3, (0 + 1 / 2 + 1) / 3, (1 + 1 + 1 + 0) / 4, 5, 3, 4)
    )


def test_a_score_that_is_no_number_is_a_prediction_of_the_last_rank():
    found = queries(["5", "6"], [5, 6], [float("nan"), -9])
    ranked = metrics.ranking(found)
    assert ranked.order.tolist() == [1, 0]
    assert metrics.score(found, ranked).predicted == 2


def test_without_a_prediction_the_class_does_not_count():
    found = dataclasses.replace(
        queries(["5", "6"], [5, 6], [1, 1]), predicted=np.array([False, True])
    )
    scores = metrics.score(found, metrics.ranking(found))
    assert (scores.accuracy, scores.precision, scores.macro_recall) == (0.5, 1, 0.5)


def test_gap_of_nothing_is_not_defined():
    with pytest.raises(UserError, match="no query of this subset has a landmark"):
        metrics.ranking(queries(["", ""], [5, -1], [1, 1]))


def test_places_of_ids():
    assert metrics.positions(["c", "x", "a"], ["a", "b", "c"]).tolist() == [2, -1, 0]
    assert metrics.positions([], ["a"]).tolist() == []
