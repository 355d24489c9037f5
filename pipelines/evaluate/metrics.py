"""Joins a submission with its solution and scores it, without Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.common import metrics
from pipelines.common.errors import UserError
from pipelines.common.gap import Ranking
from pipelines.common.metrics import SUBSETS, Metrics, Queries


def join(predictions: pd.DataFrame, solution: pd.DataFrame) -> pd.DataFrame:
    """Puts each query's prediction beside its truth.

    Args:
      predictions: as submission.read returns them.
      solution: as submission.read_solution returns it.

    Returns:
      the solution's rows with landmark_id, score, labelled (bool) and correct (bool).

    Raises:
      UserError: the two files do not have the same ids.
    """
    given, wanted = predictions["id"].tolist(), solution["id"].tolist()
    places = metrics.positions(wanted, given)
    if len(given) != len(wanted) or places.min(initial=0) < 0:
        raise UserError(f"expected the same ids in both: {_difference(given, wanted)}")
    classes = predictions["landmark_id"].to_numpy()[places]
    return solution.reset_index(drop=True).assign(
        landmark_id=classes,
        score=predictions["score"].to_numpy()[places],
        labelled=(solution["landmarks"] != "").to_numpy(),
        correct=metrics.is_correct(solution["landmarks"].to_numpy(object), classes),
    )


def _difference(given: Sequence[str], wanted: Sequence[str]) -> str:
    faults = []
    for these, those, what in (
        (given, wanted, "is not in the solution"),
        (wanted, given, "has no row in the submission"),
    ):
        odd = np.flatnonzero(metrics.positions(these, those) < 0)
        if len(odd):
            faults.append(f"id {these[odd[0]]} {what} ({len(odd)} such ids)")
    return "; ".join(faults)


# ---- scores ---------------------------------------------------------------------------------


def with_prediction(queries: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of `join` that have a prediction."""
    return queries[queries["score"].notna()]


def ranking(queries: pd.DataFrame) -> Ranking:
    """Ranks the predictions among some rows of `join`; positions are in `with_prediction`."""
    return metrics.ranking(_arrays(queries))


def score(queries: pd.DataFrame, ranked: Ranking) -> Metrics:
    """Returns the metrics of some rows of `join`, given their ranking."""
    return metrics.score(_arrays(queries), ranked)


def _arrays(queries: pd.DataFrame) -> Queries:
    return Queries(
        ids=queries["id"].to_numpy(object),
        landmarks=queries["landmarks"].to_numpy(object),
        predicted=queries["score"].notna().to_numpy(),
        classes=queries["landmark_id"].to_numpy(),
        scores=queries["score"].to_numpy(),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredSubset:
    """Some rows of `join`, with their ranking and metrics.

    Attributes:
      queries: the rows.
      ranking: of their predictions.
      metrics: of these predictions.
    """

    queries: pd.DataFrame
    ranking: Ranking
    metrics: Metrics


def score_subsets(joined: pd.DataFrame) -> dict[str, ScoredSubset]:
    """Ranks and scores each of the `subsets` of rows of `join`."""
    found = {}
    for name, queries in subsets(joined).items():
        ranked = ranking(queries)
        found[name] = ScoredSubset(queries, ranked, score(queries, ranked))
    return found


def subsets(joined: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Splits rows of `join` by usage: "all" is Public and Private; Ignored is left out.

    Returns:
      "all", and each of Public and Private that has rows.

    Raises:
      UserError: a subset has no query with a landmark, so that its GAP is not defined.
    """
    usages = {name: joined["Usage"].isin(usages) for name, usages in SUBSETS.items()}
    found = {name: joined[rows] for name, rows in usages.items() if rows.any() or name == "all"}
    for name, rows in found.items():
        if not rows["labelled"].any():
            counts = joined["Usage"].value_counts().to_dict()
            raise UserError(
                f"GAP is not defined: no query of this subset has a landmark ({name}); "
                f"the solution's rows by Usage: {counts}"
            )
    return found
