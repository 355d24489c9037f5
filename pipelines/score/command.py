"""Pipeline 5: batch inference over photos, into a submission."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common.errors import UserError
from pipelines.curate.options import at_least
from pipelines.download.options import FetchOptions
from pipelines.runner.options import parse
from pipelines.score import inputs, model
from pipelines.score.inputs import PhotosOptions
from pipelines.score.pipeline import Job, ModelOptions, predict
from pipelines.score.prediction_store import Parts, beside
from pipelines.score.rerank import pipeline as rerank_pipeline
from pipelines.score.rerank.pipeline import RerankOptions
from pipelines.score.submission_writer import (
    Answers,
    Counts,
    classified,
    collect,
    listed_ids,
    write,
    write_top_k,
)
from pipelines.source.options import OptionalSourceOptions
from pipelines.storage import filesystem

EXAMPLES = """\
  gld2 score --source ROOT --model JOB/export --output submission.csv
  gld2 score --images OUT/dataset --split test --model JOB/export --output submission.csv
  gld2 score --source ROOT --model JOB/export --output submission.csv \\
      --rerank retrieval --train OUT/dataset
"""


# ---- the command ----------------------------------------------------------------------------


class ScoreOptions:
    """What is written."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--output", required=True, help="the submission, a CSV")
        parser.add_argument(
            "--ids",
            metavar="CSV",
            help="whose ids are the submission's rows, in their order (default: the source's "
            "test.csv or sample_submission.csv; without a source, the photos' own ids, sorted)",
        )
        parser.add_argument(
            "--top_k",
            type=int,
            default=5,
            help="classes that are kept of each photo (default: %(default)s)",
        )
        parser.add_argument(
            "--top_k_output",
            metavar="FILE",
            help="where to write them, a row for each: .csv or .parquet",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        filesystem.check_output("--output", args.output)
        at_least(args, "top_k", 1)
        if args.top_k_output and not args.top_k_output.endswith((".csv", ".parquet")):
            raise UserError(f"--top_k_output: expected .csv or .parquet, found {args.top_k_output}")


GROUPS = (
    OptionalSourceOptions,
    PhotosOptions,
    ModelOptions,
    ScoreOptions,
    RerankOptions,
    FetchOptions,
)


def score(args: argparse.Namespace, beam_options: PipelineOptions) -> Counts:
    """Scores and writes the submission; prints and returns its counts."""
    place = model.find(args.model)
    place.labels()  # before any photo is fetched
    found = inputs.named(args, inputs.normal_of(place.export))
    ids = listed_ids(args.ids or found.ids)
    wants_retrieval = args.rerank == "retrieval"
    job = Job(found, place, Parts(beside(args.output, "parts")), args.top_k, embed=wants_retrieval)
    filesystem.remove(*filesystem.match(beside(args.output, "*.tmp")))  # that a killed run left
    _claim(job)
    predict(job, args, beam_options, "score")
    answers: Answers = functools.partial(classified, job)
    if wants_retrieval:
        where = rerank_pipeline.compare(job, args.output, args, beam_options)
        answers = functools.partial(rerank_pipeline.answers, where, weight=args.classifier_weight)
    predictions = collect(job, answers)
    if args.top_k_output:
        write_top_k(job, args.top_k_output)
    counts = write(args.output, ids, predictions, args.demote_over)
    _print(counts, predictions.failed, args.output)
    return counts


def _claim(job: Job) -> None:
    """Predictions that another model made, or with other flags, are of no use here."""
    if other := job.parts.claim(job.inputs):
        print(f"score: {job.parts.root} was made with another {', '.join(other)}: made anew")
        filesystem.remove(job.parts.root)
        job.parts.claim(job.inputs)


def _print(counts: Counts, failed: list[str], path: str) -> None:
    print(
        f"score: {counts.rows} rows = {counts.predicted} predicted + "
        f"{counts.unreadable} unreadable + {counts.without_image} without an image"
    )
    print(
        f"score: {counts.photos} photos = {counts.predicted} predicted + "
        f"{counts.not_listed} not listed + {counts.repeated} repeated"
    )
    if failed:
        print(
            f"score: {len(failed)} units could not be read ({', '.join(failed[:5])}); the rejects "
            "say why; run the same command again to try them again"
        )
    print(f"score: {path}, {beside(path, 'rejects.jsonl')}")


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = parse(
        "score",
        "Score photos with an exported model and write a Kaggle submission: one row for each "
        "id, '<landmark_id> <score>' or an empty cell.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    score(args, beam_options)
    return 0
