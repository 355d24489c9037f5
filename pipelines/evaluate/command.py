"""6: submissions against a solution, as Kaggle scores them."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence

import pandas as pd

from pipelines.common import tables
from pipelines.common.cli import Parser, at_least
from pipelines.common.errors import UserError
from pipelines.common.metrics import Metrics
from pipelines.evaluate.comparison import Comparison, compare
from pipelines.evaluate.metrics import join, made, ranking, score, subsets
from pipelines.kaggle import submission
from pipelines.storage import filesystem

DEFAULTS = ("metrics.json", "comparison.json")  # what is written: of one submission, of several
EXAMPLES = """\
examples:
  gld2 evaluate --submission submission.csv \\
      --solution ROOT/ground_truth/recognition_solution_v2.1.csv --output metrics.json
  gld2 evaluate --submission submission.csv --solution SOLUTION --images OUT   # and mistakes.jpg
  gld2 evaluate A.csv B.csv --solution SOLUTION --output comparison.json       # is A better?
"""


def evaluate(predictions: pd.DataFrame, solution: pd.DataFrame) -> dict[str, Metrics]:
    """Metrics of each of `subsets`."""
    found = subsets(join(predictions, solution))
    return {name: score(rows, ranking(rows)) for name, rows in found.items()}


# ---- one submission -------------------------------------------------------------------------


def report(joined: pd.DataFrame, output: str, images: str | None) -> None:
    """Scores a submission; prints and writes what is found.

    Args:
      joined: as `join` gives it.
      output: metrics.json, beside which pr_curve.png and mistakes.jpg are written.
      images: where the photos are, for the contact sheet of mistakes; None for no sheet.
    """
    from pipelines.evaluate import pr_curve

    found = subsets(joined)
    rankings = {name: ranking(rows) for name, rows in found.items()}
    metrics = {name: score(rows, rankings[name]) for name, rows in found.items()}
    print_metrics("evaluate", metrics)
    filesystem.write_json(output, {name: dataclasses.asdict(m) for name, m in metrics.items()})
    print(f"evaluate: {output}")
    ranked = made(found["all"]).iloc[rankings["all"].order]
    curve = _beside(output, "pr_curve.png")
    filesystem.write(curve, pr_curve.draw(rankings, ranked["score"].to_numpy()))
    print(f"evaluate: {curve}")
    if images:
        _sheet(ranked, images, _beside(output, "mistakes.jpg"))


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


# ---- the command ----------------------------------------------------------------------------


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        "evaluate",
        "Score a submission as Kaggle does: GAP, and accuracy, precision, recall; or compare "
        "several, by a paired bootstrap over queries.",
        EXAMPLES,
    )
    parser.add_argument(
        "submissions", nargs="*", metavar="CSV", help="submissions; two or more are compared"
    )
    parser.add_argument("--submission", metavar="CSV", help="the one submission: id,landmarks")
    parser.add_argument("--solution", required=True, metavar="CSV", help="id,landmarks,Usage")
    parser.add_argument(
        "--output",
        help="JSON; pr_curve.png and mistakes.jpg are written beside it "
        f"(default: {DEFAULTS[0]}, or {DEFAULTS[1]} where several are compared)",
    )
    parser.add_argument(
        "--images",
        metavar="PLACE",
        help="test photos, for a contact sheet of the worst mistakes: OUT of gld2 prepare, a "
        "dataset, or a folder in Kaggle's layout",
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, help="of the bootstrap (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of it (default: %(default)s)")
    args = parser.parse_intermixed_args(argv)
    at_least(args, "resamples", 1)
    at_least(args, "seed", 0)
    args.submissions += [args.submission] if args.submission else []
    if not args.submissions or len(set(args.submissions)) < len(args.submissions):
        raise UserError("expected --submission, or several different submissions")
    if args.images and len(args.submissions) > 1:
        raise UserError("--images: expected one submission, whose mistakes to show")
    args.output = args.output or DEFAULTS[len(args.submissions) > 1]
    filesystem.check_output("--output", args.output)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = _parse(argv)
    solution = submission.read_solution(args.solution)
    joined = {path: _join(path, args.solution, solution) for path in args.submissions}
    if len(joined) == 1:
        report(joined[args.submissions[0]], args.output, args.images)
        return 0
    found = compare(joined, args.resamples, args.seed)
    print_comparison(found)
    filesystem.write_json(args.output, dataclasses.asdict(found))
    print(f"evaluate: {args.output}")
    return 0


def _join(path: str, solution_path: str, solution: pd.DataFrame) -> pd.DataFrame:
    predictions = submission.read(path)
    try:
        return join(predictions, solution)
    except UserError as error:
        raise UserError(f"{path} against {solution_path}: {error}") from None


def _beside(path: str, name: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{name}"
