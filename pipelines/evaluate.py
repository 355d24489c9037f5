"""6: a submission against a solution, as Kaggle scores it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines import files, submission
from pipelines.gap import Ranking, rank
from pipelines.options import Parser
from pipelines.schema import UserError

EXAMPLES = """\
examples:
  gld2 evaluate --submission submission.csv \\
      --solution ROOT/ground_truth/recognition_solution_v2.1.csv --output metrics.json
"""
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
      queries: rows of the solution.
      labelled: of them, with at least one landmark.
      predicted: of them, with a prediction.
    """

    gap: float
    accuracy: float
    precision: float
    recall: float
    queries: int
    labelled: int
    predicted: int


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
    for these, those, what in (
        (predictions, solution, "is not in the solution"),
        (solution, predictions, "has no row in the submission"),
    ):
        odd = these.loc[~these["id"].isin(those["id"]), "id"]
        if len(odd):
            raise UserError(f"id {odd.iloc[0]} {what} ({len(odd)} such ids); expected the same ids")
    truth = solution.assign(landmark_id=solution["landmarks"].str.split()).explode("landmark_id")
    truth = truth.loc[truth["landmark_id"].notna(), ["id", "landmark_id"]]
    truth = truth.astype({"landmark_id": np.int64}).drop_duplicates()
    right = predictions.merge(truth, on=["id", "landmark_id"])["id"]
    joined = solution.merge(predictions, on="id", how="left")
    return joined.assign(labelled=joined["landmarks"] != "", correct=joined["id"].isin(right))


def ranking(queries: pd.DataFrame) -> Ranking:
    """Ranks the predictions among some rows of `join`."""
    made = queries[queries["score"].notna()]
    return rank(
        made["id"].to_numpy(str),
        made["landmark_id"],
        made["score"],
        made["correct"],
        int(queries["labelled"].sum()),
    )


def score(queries: pd.DataFrame) -> Metrics:
    """Metrics of some rows of `join`.

    Raises:
      UserError: none of them has a landmark.
    """
    ranked = ranking(queries)
    right, predicted = int(ranked.correct.sum()), len(ranked.correct)
    recall = right / ranked.labelled
    return Metrics(
        gap=ranked.gap,
        accuracy=recall,
        precision=right / predicted if predicted else 0.0,
        recall=recall,
        queries=len(queries),
        labelled=ranked.labelled,
        predicted=predicted,
    )


def evaluate(predictions: pd.DataFrame, solution: pd.DataFrame) -> dict[str, Metrics]:
    """Metrics for Public and Private together and for each that has rows; Ignored is dropped."""
    joined = join(predictions, solution)
    subsets = {name: joined[joined["Usage"].isin(usages)] for name, usages in SUBSETS.items()}
    try:
        return {name: score(rows) for name, rows in subsets.items() if len(rows) or name == "all"}
    except UserError as error:
        usages = solution["Usage"].value_counts().to_dict()
        raise UserError(f"{error}; the solution's rows by Usage: {usages}") from None


def plot(queries: pd.DataFrame, path: str) -> None:
    """Draws precision over recall, as the confidence threshold falls."""
    import matplotlib

    matplotlib.use("Agg")
    import io

    from matplotlib import pyplot as plt

    ranked = ranking(queries)
    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    axes.plot(ranked.recall, ranked.precision, drawstyle="steps-post")
    axes.set(
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.02),
        title=f"GAP {ranked.gap:.4f}",
    )
    axes.grid(alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120, metadata={"Software": None})
    plt.close(figure)
    files.write(path, out.getvalue())


def _parser() -> Parser:
    parser = Parser(
        "evaluate",
        "Score a submission as Kaggle does: GAP, and accuracy, precision, recall.",
        EXAMPLES,
    )
    parser.add_argument("--submission", required=True, help="CSV: id,landmarks")
    parser.add_argument("--solution", required=True, help="CSV: id,landmarks,Usage")
    parser.add_argument(
        "--output",
        default="metrics.json",
        help="JSON; pr_curve.png is written beside it (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    predictions = submission.read(args.submission)
    solution = submission.read_solution(args.solution)
    found = evaluate(predictions, solution)
    files.write_json(args.output, {name: dataclasses.asdict(m) for name, m in found.items()})
    queries = join(predictions, solution)
    curve = _beside(args.output, "pr_curve.png")
    plot(queries[queries["Usage"] != "Ignored"], curve)
    print_metrics(found)
    print(f"evaluate: {args.output}, {curve}")
    return 0


def print_metrics(found: dict[str, Metrics]) -> None:
    for name, m in found.items():
        print(
            f"evaluate {name}: GAP {m.gap:.4f}, accuracy {m.accuracy:.4f}, "
            f"precision {m.precision:.4f}, recall {m.recall:.4f} "
            f"({m.queries} queries, {m.labelled} labelled, {m.predicted} predicted)"
        )


def _beside(path: str, name: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{name}"
