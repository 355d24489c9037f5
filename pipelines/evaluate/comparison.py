"""Compares several submissions by a paired bootstrap."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines.common.gap import Ranking
from pipelines.common.metrics import Metrics
from pipelines.evaluate import bootstrap
from pipelines.evaluate.bootstrap import Difference, RankedSubmission
from pipelines.evaluate.metrics import score_subsets


@dataclasses.dataclass(frozen=True)
class Pair:
    """The differences between two submissions on Public and Private together.

    Attributes:
      a, b: the submissions' names; differences are a's figure minus b's.
      gap, accuracy: the differences in these metrics.
    """

    a: str
    b: str
    gap: Difference
    accuracy: Difference


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison of submissions: comparison.json.

    Attributes:
      submissions: metrics by submission and subset.
      pairs: the differences of each pair of submissions.
      resamples: number of bootstrap resamples, those without a labelled query not counted.
      seed: the bootstrap's seed.
    """

    submissions: dict[str, dict[str, Metrics]]
    pairs: list[Pair]
    resamples: int
    seed: int


def compare(joined: Mapping[str, pd.DataFrame], resamples: int, seed: int) -> Comparison:
    """Scores submissions and estimates the differences between each pair.

    Args:
      joined: by the submission's name, its predictions beside the truth, as `join` returns
        them; of the same solution.
      resamples: number of bootstrap resamples of the queries.
      seed: the bootstrap's seed.
    """
    found = {name: score_subsets(rows) for name, rows in joined.items()}
    metrics = {
        name: {subset: part.metrics for subset, part in parts.items()}
        for name, parts in found.items()
    }
    whole = [parts["all"] for parts in found.values()]
    labelled = whole[0].queries["labelled"].to_numpy()
    entries = [ranked_submission(part.queries, part.ranking) for part in whole]
    drawn = bootstrap.resample(entries, labelled, resamples, seed)
    pairs = []
    for (i, a), (j, b) in itertools.combinations(enumerate(found), 2):
        both = [whole[i].metrics, whole[j].metrics]
        gap = bootstrap.difference([m.gap for m in both], drawn.gap[[i, j]])
        accuracy = bootstrap.difference([m.accuracy for m in both], drawn.accuracy[[i, j]])
        pairs.append(Pair(a, b, gap, accuracy))
    return Comparison(metrics, pairs, drawn.gap.shape[1], seed)


def ranked_submission(queries: pd.DataFrame, ranked: Ranking) -> RankedSubmission:
    """Adds to the ranking of rows of `join` the query of each prediction, for the bootstrap."""
    return RankedSubmission(ranked, np.flatnonzero(queries["score"].notna())[ranked.order])
