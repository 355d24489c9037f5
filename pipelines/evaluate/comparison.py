"""Several submissions compared, by a paired bootstrap"""

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
    """How one submission differs from another on Public and Private together.

    Attributes:
      a, b: their names; differences are a's figure less b's.
      gap, accuracy: of these metrics.
    """

    a: str
    b: str
    gap: Difference
    accuracy: Difference


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What comparison.json holds.

    Attributes:
      submissions: name -> subset -> metrics.
      pairs: each two of them.
      resamples: of the bootstrap, those without a labelled query left out.
      seed: of the bootstrap.
    """

    submissions: dict[str, dict[str, Metrics]]
    pairs: list[Pair]
    resamples: int
    seed: int


def compare(joined: Mapping[str, pd.DataFrame], resamples: int, seed: int) -> Comparison:
    """Scores submissions and the differences between each two.

    Args:
      joined: by the submission's name, as `join` gives it; of the same solution.
      resamples, seed: of the bootstrap over queries.
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
    ranked = ranking(queries)
    return bootstrap.RankedSubmission(
        ranked, np.flatnonzero(queries["score"].notna())[ranked.order]
    )
