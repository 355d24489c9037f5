"""Estimates the difference between submissions by a paired bootstrap over queries. No Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from pipelines.common import gap
from pipelines.common.errors import UserError
from pipelines.common.gap import Ranking

INTERVAL = (2.5, 97.5)  # percent


@dataclasses.dataclass(frozen=True)
class RankedSubmission:
    """A submission's ranking over the queries that all compared submissions share.

    Attributes:
      ranking: of its predictions.
      queries: [predictions] int64, index of the query of each prediction, in rank order.
    """

    ranking: Ranking
    queries: np.ndarray


@dataclasses.dataclass(frozen=True)
class Scores:
    """The metrics of submissions on each resample.

    Attributes:
      gap, accuracy: [submissions, resamples] float64.
    """

    gap: np.ndarray
    accuracy: np.ndarray


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of one submission minus that of another.

    Attributes:
      difference: on the original queries.
      low, high: bounds of the 95 % percentile interval over resamples.
      better, worse: shares of the resamples in which it is above 0, and below 0.
    """

    difference: float
    low: float
    high: float
    better: float
    worse: float


def resample(
    entries: Sequence[RankedSubmission], labelled: np.ndarray, resamples: int, seed: int
) -> Scores:
    """Scores submissions on queries drawn with replacement, the same for all of them.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile
    intervals); paired as in Koehn, "Statistical significance tests for machine translation
    evaluation", EMNLP 2004. A resample is stored as the number of times that each query is drawn,
    so that the rankings are computed once, and one resample is in memory at a time.

    Args:
      entries: one for each submission.
      labelled: [queries] bool, whether a query has a landmark.
      resamples: number of draws; one without a labelled query has no GAP and is left out.
      seed: of the draws.

    Raises:
      UserError: no resample has a labelled query.
    """
    rng, count = np.random.default_rng(seed), len(labelled)
    right = [np.flatnonzero(entry.ranking.correct) for entry in entries]
    sums = gap.harmonic_numbers(count)
    rows = []
    for _ in range(resamples):
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        total = int(times[labelled].sum())
        if total:
            drawn = [times[entry.queries] for entry in entries]
            pairs = list(zip(right, drawn, strict=True))
            gaps = [gap.resampled_gap(places, mine, total, sums) for places, mine in pairs]
            rows.append((gaps, [mine[places].sum() / total for places, mine in pairs]))
    if not rows:
        raise UserError(
            f"--resamples {resamples}: expected more resamples, as none has a labelled query"
        )
    found = np.array(rows)
    return Scores(found[:, 0].T, found[:, 1].T)


def difference(observed: Sequence[float], resampled: np.ndarray) -> Difference:
    """Returns a metric of the first of two submissions minus that of the second.

    Args:
      observed: [2] on the original queries.
      resampled: [2, resamples] on the resamples, of which there is at least one.
    """
    differences = resampled[0] - resampled[1]
    low, high = np.percentile(differences, INTERVAL)
    return Difference(
        difference=observed[0] - observed[1],
        low=float(low),
        high=float(high),
        better=float(np.mean(differences > 0)),
        worse=float(np.mean(differences < 0)),
    )
