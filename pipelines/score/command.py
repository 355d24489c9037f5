"""Pipeline 5: batch inference over photos, into a submission."""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common.schema import TOP_K, Reason, Reject, UserError
from pipelines.curate.options import at_least
from pipelines.kaggle import submission, validate
from pipelines.runner.options import FetchOptions, OptionalSourceOptions, parse
from pipelines.score import inputs, model, prediction_store
from pipelines.score.inputs import PhotosOptions
from pipelines.score.pipeline import Job, ModelOptions, predict
from pipelines.score.prediction_store import Parts, beside
from pipelines.score.rerank import pipeline as rerank_pipeline
from pipelines.score.rerank.pipeline import RerankOptions
from pipelines.score.rerank.reranking import demote
from pipelines.storage import filesystem, parquet

EXAMPLES = """\
  gld2 score --source ROOT --model JOB/export --output submission.csv
  gld2 score --images OUT/dataset --split test --model JOB/export --output submission.csv
  gld2 score --source ROOT --model JOB/export --output submission.csv \\
      --rerank retrieval --train OUT/dataset
"""
Cells = dict[str, tuple[int, float]]  # id -> landmark_id, score


# ---- from parts to the submission -----------------------------------------------------------


@dataclasses.dataclass
class Found:
    """What the parts hold of all photos.

    Attributes:
      ids, landmark_ids, scores: of each prediction; an id may come twice.
      rejects: what could not be read.
      failed: units that could not be read at all, by name.
    """

    ids: list[str] = dataclasses.field(default_factory=list)
    landmark_ids: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    scores: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    rejects: list[Reject] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)

    def cells(self) -> Cells:
        """Of an id's two predictions the better one counts."""
        cells: Cells = {}
        for row in zip(self.ids, self.landmark_ids.tolist(), self.scores.tolist(), strict=True):
            if row[0] not in cells or row[2] > cells[row[0]][1]:
                cells[row[0]] = row[1:]
        return cells


Answers = Callable[[str], tuple[np.ndarray, np.ndarray]]  # unit -> landmark_ids, scores


def collect(job: Job, answers: Answers) -> Found:
    """Reads a part at a time."""
    found = Found()
    every = []
    for unit in job.photos.units():
        found.rejects += prediction_store.read_rejects(job.parts.rejects(unit.name))
        if job.parts.is_done(unit.name, unit):
            found.ids += job.parts.read(unit.name, "id")["id"].to_pylist()
            every.append(answers(unit.name))
        else:
            found.failed.append(unit.name)
    if every:
        found.landmark_ids, found.scores = map(np.concatenate, zip(*every, strict=True))
    return found


def classified(job: Job, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """The best class of each of a part's photos, and its probability."""
    table = job.parts.read(unit, "landmark_ids", "scores")
    if not len(table):
        return np.zeros(0, np.int64), np.zeros(0)
    return prediction_store.matrix(table, "landmark_ids")[:, 0], prediction_store.matrix(
        table, "scores"
    )[:, 0]


def write_top_k(job: Job, path: str) -> None:
    """All classes that were kept of each photo, a row for each: CSV, or Parquet by its name."""
    tables_of = [parquet.arrow_schema(TOP_K).empty_table()]
    for unit in job.photos.units():
        if job.parts.is_done(unit.name, unit):
            table = job.parts.read(unit.name, "id", "landmark_ids", "scores")
            number = pc.list_value_length(table["landmark_ids"]).to_numpy()
            rows = {
                "id": np.repeat(table["id"].to_numpy(), number),
                "rank": np.concatenate([np.arange(1, n + 1) for n in number] or [number]),
                "landmark_id": pc.list_flatten(table["landmark_ids"]),
                "score": pc.list_flatten(table["scores"]),
            }
            tables_of.append(pa.table(rows, parquet.arrow_schema(TOP_K)))
    table = pa.concat_tables(tables_of)
    if path.endswith(".parquet"):
        parquet.write_table(path, table)
    else:
        filesystem.write(path, table.to_pandas().to_csv(index=False, lineterminator="\n"))


def listed_ids(path: str | None) -> list[str] | None:
    """The ids of a submission's rows, in their order; None where no CSV lists them.

    Raises:
      UserError: an id comes twice or is none, or there are none at all.
    """
    if path is None:
        return None
    if not (ids := validate.listed(path).to_pylist()):
        raise UserError(f"{path}: expected ids, one to a row, found none")
    return ids


def write(
    path: str, ids: Sequence[str] | None, found: Found, over: int | None = None
) -> dict[str, int]:
    """Writes the submission and, beside it, the rejects and, last, the counts.

    Args:
      path: of the submission.
      ids: of its rows; None for those of the photos, sorted.
      found: predictions and rejects.
      over: how many rows may have a landmark before it is put below all others.

    Returns:
      the counts.

    Raises:
      UserError: there is no prediction at all.
    """
    cells = found.cells()
    unread = {r.id for r in found.rejects if r.id and r.reason != Reason.MISSING} - set(cells)
    rows = sorted(set(cells) | unread) if ids is None else list(ids)
    listed = set(rows)
    extra = [
        Reject(i, "", "score", Reason.NOT_LISTED, "it is not among the listed ids")
        for i in sorted((set(cells) | unread) - listed)
    ]
    counts = {
        "rows": len(rows),
        "predicted": len(listed & set(cells)),
        "unreadable": len(listed & unread),
        "without_image": len(listed - set(cells) - unread),
        "photos": len(found.ids),
        "not_listed": len(set(cells) - listed),
        "repeated": len(found.ids) - len(cells),
        "failed_units": len(found.failed),
    }
    _check(counts)
    rejects = beside(path, "rejects.jsonl")
    refused = sorted([*found.rejects, *extra], key=lambda r: (r.unit, r.id, r.reason))
    filesystem.write(rejects, prediction_store.jsonl(refused))
    if not cells:
        raise UserError(f"no photo could be scored; {rejects} says why of {len(refused)}")
    if over:
        cells = demoted({i: cells[i] for i in rows if i in cells}, over)
    filesystem.write(path, submission.write(rows, cells))
    filesystem.write_json(beside(path, "counts.json"), counts)
    return counts


def demoted(cells: Cells, over: int) -> Cells:
    """The cells with the landmarks of more than so many of them below all others."""
    landmark_ids, scores = map(np.array, zip(*cells.values(), strict=True))
    scores = demote(landmark_ids, scores, over)
    return dict(zip(cells, zip(landmark_ids.tolist(), scores.tolist(), strict=True), strict=True))


def _check(counts: dict[str, int]) -> None:
    rows = counts["predicted"] + counts["unreadable"] + counts["without_image"]
    photos = counts["predicted"] + counts["not_listed"] + counts["repeated"]
    if rows != counts["rows"] or photos != counts["photos"]:
        raise AssertionError(f"the sums do not hold: {counts}")


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


def score(args: argparse.Namespace, beam_options: PipelineOptions) -> dict[str, int]:
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


def _print(counts: dict[str, int], failed: list[str], path: str) -> None:
    print(
        f"score: {counts['rows']} rows = {counts['predicted']} predicted + "
        f"{counts['unreadable']} unreadable + {counts['without_image']} without an image"
    )
    print(
        f"score: {counts['photos']} photos = {counts['predicted']} predicted + "
        f"{counts['not_listed']} not listed + {counts['repeated']} repeated"
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
