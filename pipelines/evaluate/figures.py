"""Scores submissions against a solution as Kaggle does; prints and writes metrics and plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pandas as pd

from pipelines.common import tables
from pipelines.common.errors import UserError
from pipelines.common.metrics import Metrics
from pipelines.common.paths import beside_metrics
from pipelines.evaluate.comparison import Comparison, compare
from pipelines.evaluate.metrics import join, score_subsets, with_prediction
from pipelines.evaluate.options import EvaluateOptions
from pipelines.kaggle import submission
from pipelines.storage import filesystem


def evaluate(predictions: pd.DataFrame, solution: pd.DataFrame) -> dict[str, Metrics]:
    """Returns the metrics of predictions on each of `subsets`, by name."""
    found = score_subsets(join(predictions, solution))
    return {name: subset.metrics for name, subset in found.items()}


# ---- one submission -------------------------------------------------------------------------


def report(joined: pd.DataFrame, output: str, images: str | None) -> None:
    """Scores a submission; prints and writes its metrics, curve and worst mistakes.

    Args:
      joined: predictions beside the truth, as `join` returns them.
      output: path of metrics.json; pr_curve.png and mistakes.jpg are written beside it.
      images: folder of the photos, for the contact sheet of mistakes; None for no sheet.
    """
    from pipelines.evaluate import pr_curve

    found = score_subsets(joined)
    rankings = {name: subset.ranking for name, subset in found.items()}
    metrics = {name: subset.metrics for name, subset in found.items()}
    print_metrics("evaluate", metrics)
    filesystem.write_record(output, metrics)
    print(f"evaluate: {output}")
    ranked = with_prediction(found["all"].queries).iloc[rankings["all"].order]
    curve = beside_metrics(output, "pr_curve.png")
    filesystem.write(curve, pr_curve.draw(rankings, ranked["score"].to_numpy()))
    print(f"evaluate: {curve}")
    if images:
        _sheet(ranked, images, beside_metrics(output, "mistakes.jpg"))


def _sheet(ranked: pd.DataFrame, images: str, path: str) -> None:
    from pipelines.evaluate import worst_errors

    worst = worst_errors.worst(ranked)
    if len(worst):
        filesystem.write(path, worst_errors.picture(worst, images))
    print(f"evaluate: {path if len(worst) else 'there is no mistake to show'}")


def print_metrics(title: str, found: Mapping[str, Metrics]) -> None:
    """Prints a table with a row for each subset of the queries."""
    names = [field.name for field in dataclasses.fields(Metrics)]
    head = ["", *(name.replace("gap", "GAP").replace("_", " ") for name in names)]
    rows = ([name, *map(_number, dataclasses.astuple(m))] for name, m in found.items())
    for line in tables.plain([head, *rows], "<" + ">" * len(names)):
        print(f"{title}: {line}")


def _number(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def print_comparison(found: Comparison) -> None:
    """Prints the metrics of several submissions, then the differences of each pair."""
    for name, metrics in found.submissions.items():
        print_metrics(f"evaluate: {name}", metrics)
    for pair in found.pairs:
        print(f"evaluate: {pair.a} less {pair.b}, all:")
        for name, d in (("GAP", pair.gap), ("accuracy", pair.accuracy)):
            print(
                f"evaluate:   {name} {d.difference:+.4f}, 95 % interval {d.low:+.4f} to "
                f"{d.high:+.4f}; above 0 in {d.better:.1%}, below 0 in {d.worse:.1%} of "
                f"{found.resamples} resamples"
            )


# ---- from files -----------------------------------------------------------------------------


def evaluate_files(options: EvaluateOptions) -> None:
    """Scores one submission, or compares several; prints and writes the results.

    Raises:
      UserError: a file cannot be read, or a submission does not fit the solution.
    """
    output = options.output_path
    filesystem.check_output("--output", output)
    solution = submission.read_solution(options.solution)
    joined = {path: _join(path, options.solution, solution) for path in options.paths}
    if len(joined) == 1:
        report(joined[options.paths[0]], output, options.images)
        return
    found = compare(joined, options.resamples, options.seed)
    print_comparison(found)
    filesystem.write_record(output, found)
    print(f"evaluate: {output}")


def _join(path: str, solution_path: str, solution: pd.DataFrame) -> pd.DataFrame:
    predictions = submission.read(path)
    try:
        return join(predictions, solution)
    except UserError as error:
        raise UserError(f"{path} against {solution_path}: {error}") from None
