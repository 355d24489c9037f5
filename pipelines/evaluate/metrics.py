"""What a submission is worth on some queries: Kaggle's GAP, and plainer figures. No Beam."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.common.errors import UserError
from pipelines.common.gap import Ranking, rank

SUBSETS = {"all": ("Public", "Private"), "public": ("Public",), "private": ("Private",)}


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Scores of one subset of queries.

    Attributes:
      gap: Global Average Precision.
      accuracy: right predictions / queries that have a landmark.
      precision: right predictions / predictions.
      recall: right predictions / queries that have a landmark, as a ranking has
        it at its end; it is the accuracy, by its other name.
      macro_precision: the mean, over the landmarks that are predicted, of a
        landmark's right predictions / its predictions.
      macro_recall: the mean, over the landmarks that queries show, of the share
        of a landmark's queries whose prediction is right. A query that shows
        several counts for each of them, and any of them is right.
      queries: rows of the solution.
      labelled: of them, with at least one landmark.
      predicted: of them, with a prediction.
    """

    gap: float
    accuracy: float
    precision: float
    recall: float
    macro_precision: float
    macro_recall: float
    queries: int
    labelled: int
    predicted: int


# ---- truth beside predictions ---------------------------------------------------------------


def join(predictions: pd.DataFrame, solution: pd.DataFrame) -> pd.DataFrame:
    """Puts each query's prediction beside its truth.

    Args:
      predictions: as submission.read gives them.
      solution: as submission.read_solution gives it.

    Returns:
      the solution's rows with landmark_id, score, labelled (bool) and correct (bool).

    Raises:
      UserError: the two files do not have the same ids.
    """
    _check_ids(predictions["id"], solution["id"])
    places = pd.Index(predictions["id"]).get_indexer(pd.Index(solution["id"]))
    joined = solution.reset_index(drop=True).assign(
        landmark_id=predictions["landmark_id"].to_numpy()[places],
        score=predictions["score"].to_numpy()[places],
        labelled=(solution["landmarks"] != "").to_numpy(),
        correct=False,
    )
    queries, landmarks = truth(joined)
    right = queries[joined["landmark_id"].to_numpy()[queries] == landmarks]
    joined.loc[right, "correct"] = True
    return joined


def truth(queries: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The landmarks of queries, one by one: [landmarks] int64 each, a query's place and one of its
    landmarks."""
    labelled = np.flatnonzero(queries["labelled"])
    cells = pa.array(queries["landmarks"].to_numpy()[labelled], pa.string())
    several = pc.split_pattern(cells, " ")
    landmarks = np.asarray(several.flatten().cast(pa.int64()))
    return labelled[np.asarray(pc.list_parent_indices(several))], landmarks


def _check_ids(predicted: pd.Series, wanted: pd.Series) -> None:
    faults = []
    for these, those, what in (
        (predicted, wanted, "is not in the solution"),
        (wanted, predicted, "has no row in the submission"),
    ):
        odd = these[pd.Index(those).get_indexer(pd.Index(these)) < 0]
        if len(odd):
            faults.append(f"id {odd.iloc[0]} {what} ({len(odd)} such ids)")
    if faults:
        raise UserError(f"expected the same ids in both: {'; '.join(faults)}")


# ---- scores ---------------------------------------------------------------------------------


def made(queries: pd.DataFrame) -> pd.DataFrame:
    """The rows of `join` that have a prediction."""
    return queries[queries["score"].notna()]


def ranking(queries: pd.DataFrame) -> Ranking:
    """Ranks the predictions among some rows of `join`, which `made` gives."""
    predictions = made(queries)
    return rank(
        predictions["id"].to_numpy(str),
        predictions["landmark_id"],
        predictions["score"],
        predictions["correct"],
        int(queries["labelled"].sum()),
    )


def score(queries: pd.DataFrame, ranked: Ranking) -> Metrics:
    """Metrics of some rows of `join` and their ranking."""
    right, predicted = int(ranked.correct.sum()), len(ranked.correct)
    recall = right / ranked.labelled
    predictions = made(queries)
    places, landmarks = truth(queries)
    return Metrics(
        gap=ranked.gap,
        accuracy=recall,
        precision=right / predicted if predicted else 0.0,
        recall=recall,
        macro_precision=_macro(predictions["landmark_id"], predictions["correct"]),
        macro_recall=_macro(landmarks, queries["correct"].to_numpy()[places]),
        queries=len(queries),
        labelled=ranked.labelled,
        predicted=predicted,
    )


def _macro(landmarks, correct) -> float:
    """The mean over landmarks of the share that is correct; 0 where there are none."""
    _, codes = np.unique(np.asarray(landmarks), return_inverse=True)
    shares = np.bincount(codes, np.asarray(correct, float)) / np.bincount(codes)
    return float(shares.mean()) if len(shares) else 0.0


def subsets(joined: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of `join` for Public and Private together and for each that has rows, without Ignored.

    Raises:
      UserError: one has no landmark, so that its GAP is not defined.
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
