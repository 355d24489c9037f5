"""Scores by what a photo's neighbours show and by how much it looks like no landmark. No Beam.

What won Google Landmark Recognition 2020 (Henkel and Singer, "Supporting
large-scale image recognition with out-of-domain samples", arXiv 2010.01650; the
third place, Ha et al., arXiv 2010.05350, and the first of 2021 go alike ways):
a photo is given the landmark of its nearest train photos, and what looks like
photos of no landmark is trusted less, on either side. The order of the steps
and how the classifier comes in are ours.
"""

from __future__ import annotations

import dataclasses

import numpy as np

NEIGHBOURS = 3  # train photos that vote
OF_NEIGHBOUR, OF_PHOTO = 5, 10  # non-landmark photos that a similarity to them is the mean of


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of some photos.

    Attributes:
      landmark_ids: [photos, classes] int64 of the classifier's best classes, the best first.
      scores: [photos, classes] float, their probabilities.
      neighbour_ids: [photos, neighbours] int64, landmarks of the nearest train photos.
      similarities: [photos, neighbours] float cosines; -inf where there is none.
      penalties: [photos, neighbours] float: each neighbour's mean cosine to its
        OF_NEIGHBOUR nearest non-landmark photos.
      own: [photos] float: the photo's own, to its OF_PHOTO nearest.
    """

    landmark_ids: np.ndarray
    scores: np.ndarray
    neighbour_ids: np.ndarray
    similarities: np.ndarray
    penalties: np.ndarray
    own: np.ndarray


def rerank(evidence: Evidence, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """The best landmark of each photo and its new score.

    A landmark of the neighbours has the sum of their similarities, none below 0,
    less their penalties, and `weight` times its probability; from the best one's
    score the photo's own similarity to non-landmark photos is taken. A photo
    without neighbours keeps the classifier's best landmark.

    Args:
      evidence: of the photos.
      weight: of the classifier.

    Returns:
      landmark ids [photos] int64; of two that are as good, the more probable one,
      then the smaller one.
      scores [photos] float64.
    """
    there = np.isfinite(evidence.similarities)
    votes = np.where(there, np.maximum(evidence.similarities, 0) - evidence.penalties, 0)
    # A class that no neighbour shows is none: it would win wherever their votes are less than 0.
    alone = ~there.any(axis=1, keepdims=True)
    candidates = np.where(alone, evidence.landmark_ids[:, :1], evidence.neighbour_ids)
    probable = _sums(candidates, evidence.landmark_ids, evidence.scores)
    sums = _sums(candidates, evidence.neighbour_ids, votes) + weight * probable
    sums = np.where(there | alone, sums, -np.inf)
    best = np.lexsort((candidates, -probable, -sums), axis=1)[:, :1]
    landmark_ids = np.take_along_axis(candidates, best, axis=1)[:, 0]
    return landmark_ids, np.take_along_axis(sums, best, axis=1)[:, 0] - evidence.own


def _sums(candidates: np.ndarray, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[photos, candidates]: of the values [photos, ids] whose id is the candidate's."""
    same = (candidates[:, :, None] == ids[:, None, :]).astype(np.float64)
    return np.einsum("pci,pi->pc", same, values)


def demote(landmark_ids: np.ndarray, scores: np.ndarray, over: int) -> np.ndarray:
    """Puts landmarks that are given to more than so many photos below all others.

    A landmark that is seen everywhere is more often a kind of photo than a
    landmark. Their order among themselves stays.

    Args:
      landmark_ids, scores: [photos].
      over: how many photos a landmark may be given to.

    Returns:
      [photos] scores.
    """
    _, which, counts = np.unique(landmark_ids, return_inverse=True, return_counts=True)
    common = counts[which] > over
    span = np.ptp(scores) + 1 if len(scores) else 0
    return np.where(common, scores - span, scores)
