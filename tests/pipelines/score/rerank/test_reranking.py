"""Re-ranking is what a slow reading of its definition gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.score.rerank.reranking import Evidence, demote, rerank


def evidence(rng: np.random.Generator, photos: int, classes: int, neighbours: int) -> Evidence:
    """Few landmarks, so that they meet; some photos have fewer neighbours."""
    similarities = rng.uniform(-0.3, 1, (photos, neighbours))
    similarities[rng.random((photos, neighbours)) < 0.1] = -np.inf
    return Evidence(
        landmark_ids=np.array([rng.permutation(9)[:classes] for _ in range(photos)]),
        scores=-np.sort(-rng.dirichlet(np.ones(classes), photos)),
        neighbour_ids=rng.integers(0, 9, (photos, neighbours)),
        similarities=similarities,
        non_landmark_similarities=rng.uniform(0, 0.5, (photos, neighbours)),
        query_non_landmark_similarity=rng.uniform(0, 0.5, photos),
    )


def slow(found: Evidence, weight: float) -> list[tuple[int, float]]:
    """One photo, one landmark, one neighbour after the other."""
    rows = []
    for n in range(len(found.query_non_landmark_similarity)):
        probability = dict(zip(found.landmark_ids[n].tolist(), found.scores[n], strict=True))
        votes: dict[int, float] = {}
        near = zip(
            found.neighbour_ids[n],
            found.similarities[n],
            found.non_landmark_similarities[n],
            strict=True,
        )
        for landmark, similarity, penalty in near:
            if similarity > -np.inf:
                clamped = similarity if similarity > 0 else 0.0
                votes[int(landmark)] = votes.get(int(landmark), 0.0) + clamped - penalty
        every = [
            (votes.get(i, 0.0) + weight * probability.get(i, 0.0), probability.get(i, 0.0), -i)
            for i in votes or probability
        ]
        score, _, negative = max(every)
        rows.append((-negative, score - found.query_non_landmark_similarity[n]))
    return rows


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4), st.sampled_from([0.0, 0.3, 2.0])
)
def test_rerank_is_its_definition(seed, classes, neighbours, weight):
    found = evidence(np.random.default_rng(seed), 8, classes, neighbours)
    landmarks, scores = rerank(found, weight)
    expected = slow(found, weight)
    assert landmarks.tolist() == [landmark for landmark, _ in expected]
    np.testing.assert_allclose(scores, [score for _, score in expected], atol=1e-12)


def test_sums_of_single_precision_are_of_double():
    """Files hold the former; a submission's six decimals want the latter."""
    found = evidence(np.random.default_rng(0), 50, 5, 3)
    small = dataclasses.replace(found, scores=found.scores.astype(np.float32))
    exact = dataclasses.replace(small, scores=small.scores.astype(np.float64))
    assert rerank(small, 0.3)[1].tolist() == rerank(exact, 0.3)[1].tolist()
    single = {
        name: getattr(found, name).astype(np.float32)
        for name in (
            "scores",
            "similarities",
            "non_landmark_similarities",
            "query_non_landmark_similarity",
        )
    }
    assert rerank(dataclasses.replace(found, **single), 0.3)[1].dtype == np.float64


def test_neighbours_outvote_the_classifier_and_non_landmarks_weigh():
    """Two neighbours of landmark 7 beat one of 5; looking like no landmark costs."""
    found = Evidence(
        landmark_ids=np.array([[5, 7]] * 2),
        scores=np.array([[0.9, 0.1]] * 2),
        neighbour_ids=np.array([[5, 7, 7]] * 2),
        similarities=np.array([[0.8, 0.7, 0.6]] * 2),
        non_landmark_similarities=np.array([[0.1, 0.1, 0.1], [0.1, 0.5, 0.5]]),
        query_non_landmark_similarity=np.array([0.2, 0.3]),
    )
    landmarks, scores = rerank(found, 0.0)
    assert landmarks.tolist() == [7, 5]
    assert scores == pytest.approx([0.6 + 0.5 - 0.2, 0.7 - 0.3])
    landmarks, scores = rerank(found, 1.0)
    assert landmarks.tolist() == [5, 5]
    assert scores == pytest.approx([0.7 + 0.9 - 0.2, 0.7 + 0.9 - 0.3])


@pytest.mark.parametrize("weight", [0.0, 0.01, 2.0])
def test_no_class_that_no_neighbour_shows_is_given(weight):
    """Though its sum is more than neighbours have that look like no landmark."""
    found = Evidence(
        landmark_ids=np.array([[5, 6]] * 2),
        scores=np.array([[0.9, 0.1]] * 2),
        neighbour_ids=np.array([[7, 7, 8]] * 2),
        similarities=np.array([[0.4, 0.35, 0.3], [-np.inf] * 3]),
        non_landmark_similarities=np.array([[0.5, 0.5, 0.5]] * 2),
        query_non_landmark_similarity=np.array([0.2, 0.2]),
    )
    landmarks, scores = rerank(found, weight)
    assert landmarks.tolist() == [8, 5]  # the other photo has no neighbour at all
    assert scores == pytest.approx([0.3 - 0.5 - 0.2, 0.9 * weight - 0.2])


def test_demoted_landmarks_come_last_in_their_order():
    landmarks = np.array([1, 2, 1, 3, 1, 2])
    scores = np.array([0.9, -0.5, 0.8, 0.1, 0.95, 0.2])
    found = demote(landmarks, scores, over=2)
    assert np.argsort(-found).tolist() == [5, 3, 1, 4, 0, 2]
    assert (found[landmarks != 1] == scores[landmarks != 1]).all()
    assert (demote(landmarks, scores, over=3) == scores).all()
    assert demote(landmarks[:0], scores[:0], over=1).size == 0
