"""Runs gld2 score: scores photos with a model, re-ranks on request, writes the submission."""

from __future__ import annotations

import functools

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.score.options import ScoreOptions
from pipelines.score.pipeline import find_job, predict
from pipelines.score.prediction_store import beside
from pipelines.score.rerank import pipeline as rerank_pipeline
from pipelines.score.submission_writer import (
    Answers,
    Counts,
    best_classes,
    collect,
    listed_ids,
    write,
    write_top_k,
)
from pipelines.storage import filesystem


def score(options: ScoreOptions, beam_options: PipelineOptions) -> Counts:
    """Scores photos and writes the submission; prints and returns its counts.

    Raises:
      UserError: the model, the photos or the ids cannot be read or do not fit, or no photo could
        be scored.
    """
    wanted, reranking = options.submission, options.reranking
    filesystem.check_output("--output", wanted.output)
    retrieves = reranking.rerank == "retrieval"
    job = find_job(options, beside(wanted.output, "parts"), wanted.top_k, embed=retrieves)
    ids = listed_ids(wanted.ids or job.photos.ids)
    filesystem.remove_temporaries_of(beside(wanted.output, ""))
    if other := job.parts.claim_anew(job.inputs):
        print(
            f"score: {job.parts.root} was made with another {', '.join(other)}; scoring all again"
        )
    predict(job, options, beam_options, "score")
    answers: Answers = functools.partial(best_classes, job)
    if retrieves:
        where = rerank_pipeline.compare(job, options, beam_options)
        weight = reranking.classifier_weight
        answers = functools.partial(rerank_pipeline.answers, where, weight=weight)
    predictions = collect(job, answers)
    if wanted.top_k_output:
        write_top_k(job, wanted.top_k_output)
    counts = write(wanted.output, ids, predictions, reranking.max_predictions_per_landmark)
    _print(counts, predictions.failed, wanted.output)
    return counts


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
            f"score: {len(failed)} units could not be read ({', '.join(failed[:5])}); the file of "
            "rejects says why; the same command, run again, retries them"
        )
    print(f"score: {path}, {beside(path, 'rejects.jsonl')}")
