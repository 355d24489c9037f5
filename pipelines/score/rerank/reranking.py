"""Re-ranks scores by nearest neighbours and by similarity to non-landmark photos. No Beam.

After the winners of Google Landmark Recognition 2020 (Henkel and Singer, "Supporting
large-scale image recognition with out-of-domain samples", arXiv 2010.01650; the third place, Ha
et al., arXiv 2010.05350, and the first of 2021 are similar): a photo is given the landmark of its
nearest train photos, and the score of photos, and of neighbours, that are similar to photos of no
landmark is lowered. The order of the steps and the use of the classifier differ from the paper.
"""

from __future__ import annotations

import dataclasses

import numpy as np

NEIGHBOURS = 3  # train photos that vote
# Nearest non-landmark photos over which a similarity to them is averaged.
OF_NEIGHBOUR, OF_PHOTO = 5, 10


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The classes, neighbours and similarities that some photos are re-ranked by.

    Attributes:
      landmark_ids: [photos, classes] int64, the classifier's best classes, the best first.
      scores: [photos, classes] float, the probabilities of these classes.
      neighbour_ids: [photos, neighbours] int64, landmarks of the nearest train photos.
      similarities: [photos, neighbours] float, cosines to these train photos; -inf where a photo
        has fewer neighbours.
      non_landmark_similarities: [photos, neighbours] float, mean cosine of each neighbour to its
        OF_NEIGHBOUR nearest non-landmark photos.
      query_non_landmark_similarity: [photos] float, mean cosine of each photo to its OF_PHOTO
        nearest non-landmark photos.
    """

    landmark_ids: np.ndarray
    scores: np.ndarray
    neighbour_ids: np.ndarray
    similarities: np.ndarray
    non_landmark_similarities: np.ndarray
    query_non_landmark_similarity: np.ndarray


def rerank(evidence: Evidence, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best landmark of each photo and its new score.

    The candidates are the landmarks of the neighbours. Each neighbour votes for its landmark with
    its similarity, or 0 if that is negative, minus its own similarity to non-landmark photos. A
    candidate's score is the sum of its votes plus `weight` times its probability. From the score
    of the best candidate the photo's similarity to non-landmark photos is subtracted. A photo
    without neighbours keeps the classifier's best landmark.

    Args:
      evidence: of the photos.
      weight: of the classifier's probabilities.

    Returns:
      landmark ids, [photos] int64; of equally good ones the more probable, then the smaller.
      scores, [photos] float64.
    """
    there = np.isfinite(evidence.similarities)
    votes = np.maximum(evidence.similarities, 0) - evidence.non_landmark_similarities
    votes = np.where(there, votes, 0)
    # A class that no neighbour shows is no candidate: it would win wherever all votes are negative.
    alone = ~there.any(axis=1, keepdims=True)
    candidates = np.where(alone, evidence.landmark_ids[:, :1], evidence.neighbour_ids)
    probable = _sums(candidates, evidence.landmark_ids, evidence.scores)
    sums = _sums(candidates, evidence.neighbour_ids, votes) + weight * probable
    sums = np.where(there | alone, sums, -np.inf)
    best = np.lexsort((candidates, -probable, -sums), axis=1)[:, :1]
    landmark_ids = np.take_along_axis(candidates, best, axis=1)[:, 0]
    scores = np.take_along_axis(sums, best, axis=1)[:, 0]
    return landmark_ids, scores - evidence.query_non_landmark_similarity


def _sums(candidates: np.ndarray, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums for each candidate the values [photos, ids] of its id, [photos, candidates]."""
    same = (candidates[:, :, None] == ids[:, None, :]).astype(np.float64)
    return np.einsum("pci,pi->pc", same, values)


def demote(landmark_ids: np.ndarray, scores: np.ndarray, over: int) -> np.ndarray:
    """Lowers the scores of landmarks that are predicted for too many photos below all others.

    A landmark that is predicted everywhere is more often a type of scene than a landmark. The
    order of the lowered scores among themselves stays the same.

    Args:
      landmark_ids: [photos], the predictions.
      scores: [photos], of the predictions.
      over: number of photos that a landmark may be predicted for.

    Returns:
      the new scores, [photos].
    """
    _, which, counts = np.unique(landmark_ids, return_inverse=True, return_counts=True)
    common = counts[which] > over
    span = np.ptp(scores) + 1 if len(scores) else 0
    return np.where(common, scores - span, scores)
