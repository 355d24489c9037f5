"""Compares several submissions by a paired bootstrap."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines.common.metrics import Metrics
from pipelines.evaluate import bootstrap
from pipelines.evaluate.bootstrap import Difference
from pipelines.evaluate.metrics import ranking, score, subsets

# ---- several submissions --------------------------------------------------------------------


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
    found = {name: subsets(rows) for name, rows in joined.items()}
    metrics = {
        name: {subset: score(rows, ranking(rows)) for subset, rows in parts.items()}
        for name, parts in found.items()
    }
    queries = [parts["all"] for parts in found.values()]
    labelled = queries[0]["labelled"].to_numpy()
    drawn = bootstrap.resample(
        [ranked_submission(rows) for rows in queries], labelled, resamples, seed
    )
    pairs = []
    for (i, a), (j, b) in itertools.combinations(enumerate(found), 2):
        both = [metrics[name]["all"] for name in (a, b)]
        gap = bootstrap.difference([m.gap for m in both], drawn.gap[[i, j]])
        accuracy = bootstrap.difference([m.accuracy for m in both], drawn.accuracy[[i, j]])
        pairs.append(Pair(a, b, gap, accuracy))
    return Comparison(metrics, pairs, drawn.gap.shape[1], seed)


def ranked_submission(queries: pd.DataFrame) -> bootstrap.RankedSubmission:
    """Ranks the predictions among rows of `join`, for the bootstrap."""
    ranked = ranking(queries)
    return bootstrap.RankedSubmission(
        ranked, np.flatnonzero(queries["score"].notna())[ranked.order]
    )
