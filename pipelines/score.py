"""Pipeline 5: batch inference over photos, into a submission."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import (
    engine,
    files,
    metadata,
    options,
    progress,
    records,
    submission,
)
from pipelines.handler import Prediction, SavedModelHandler, read_labels
from pipelines.images import Normal
from pipelines.layout import Output
from pipelines.schema import Reason, Reject, UserError
from pipelines.source import discover, expand
from pipelines.stage import stage
from pipelines.unit import Effort, Parameters, Unit

REJECTS = "rejects"
EXAMPLES = """\
  gld2 score --source ROOT --model JOB/export --output submission.csv
  gld2 score --images OUT/dataset --split test --model JOB/export --output submission.csv
"""


@dataclasses.dataclass
class ReadUnits(beam.PTransform):
    """Units and loose splits -> photos, rejects."""

    parameters: Parameters
    effort: Effort

    def __post_init__(self):
        super().__init__()

    def expand(self, parts):
        read = (
            parts  # Unit | Loose
            | "Expand" >> beam.FlatMap(expand)  # Unit
            | "Spread" >> beam.Reshuffle()
            | "ReadUnit"
            >> beam.FlatMap(read_unit, self.parameters, self.effort).with_outputs(
                REJECTS, main="photos"
            )
        )
        return read.photos, read[REJECTS]


def read_unit(unit: Unit, parameters: Parameters, effort: Effort) -> Iterator[Any]:
    """The photos of a unit, normalised as for training; what cannot be read, as rejects.

    The unit is staged on the worker's disk first: no photo is scored before the
    archive's md5 is right, and none is scored twice when it is fetched again.
    """
    with tempfile.TemporaryDirectory(prefix="gld2-") as folder:
        output = Output(folder)
        summary = stage(unit, output, parameters, effort)
        for line in files.read(output.rejects(unit.name)).decode().splitlines():
            yield beam.pvalue.TaggedOutput(REJECTS, json.loads(line) | {"stage": "score"})
        if "failed" not in summary:
            yield from records.read(output.staged(unit.name))


@dataclasses.dataclass
class Submit(beam.PTransform):
    """(id, Prediction) and rejects -> the submission, its rejects and its counts.

    Attributes:
      path: of the submission.
      ids: CSV whose ids are the rows, or None for the photos' own, sorted.
    """

    path: str
    ids: str | None

    def __post_init__(self):
        super().__init__()

    def expand(self, inputs):
        predictions, rejects = inputs
        return (
            predictions
            # One file in one order needs all its rows together; they are small.
            | "Collect" >> beam.combiners.ToList()
            | "Write" >> beam.Map(write, self.path, self.ids, beam.pvalue.AsList(rejects))
        )


def write(
    predictions: list[tuple[str, Prediction]],
    path: str,
    ids: str | None,
    rejects: list[dict[str, Any]],
) -> None:
    """Writes the submission, and beside it the rejects and, last, the counts."""
    cells: dict[str, tuple[int, float]] = {}
    for image_id, found in sorted(predictions, key=lambda p: (p[0], -p[1].score)):
        cells.setdefault(image_id, (found.landmark_id, found.score))
    unread = {reject["id"] for reject in rejects if reject["id"]} - set(cells)
    rows = list(_listed(ids)) if ids else sorted(set(cells) | unread)
    listed = set(rows)
    extra = [
        dataclasses.asdict(Reject(i, "", "score", Reason.NOT_LISTED, f"{ids} has no such id"))
        for i in sorted((set(cells) | unread) - listed)
    ]
    repeated = len(predictions) - len(cells)
    counts = {
        "rows": len(rows),
        "predicted": len(listed & set(cells)),
        "unreadable": len(listed & unread),
        "without_image": len(listed - set(cells) - unread),
        "photos": len(predictions),
        "not_listed": len(set(cells) - listed),
        "repeated": repeated,
    }
    _check(counts)
    refused = sorted([*rejects, *extra], key=lambda r: (r["unit"], r["id"], r["reason"]))
    files.write(rejects_path(path), "".join(json.dumps(reject) + "\n" for reject in refused))
    files.write(path, submission.write(rows, cells))
    files.write_json(counts_path(path), counts)


def _check(counts: dict[str, int]) -> None:
    rows = counts["predicted"] + counts["unreadable"] + counts["without_image"]
    photos = counts["predicted"] + counts["not_listed"] + counts["repeated"]
    if rows != counts["rows"] or photos != counts["photos"]:
        raise AssertionError(f"the sums do not hold: {counts}")


def _listed(path: str) -> Iterable[str]:
    for block in metadata.ids(path):
        yield from block


def rejects_path(path: str) -> str:
    return f"{path.removesuffix('.csv')}.rejects.jsonl"


def counts_path(path: str) -> str:
    return f"{path.removesuffix('.csv')}.counts.json"


# ---- the command ----------------------------------------------------------------------------


class ScoreOptions:
    """What is scored, by what."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--model", required=True, help="JOB/export of gld2 train")
        parser.add_argument("--output", required=True, help="the submission, a CSV")
        parser.add_argument("--split", default="test", help="which split (default: %(default)s)")
        parser.add_argument(
            "--images",
            metavar="PLACE",
            help="score photos that are staged or sharded already: OUT, OUT/dataset, a version "
            "folder or a pattern of TFRecord files",
        )
        parser.add_argument(
            "--ids",
            metavar="CSV",
            help="whose ids are the submission's rows, in their order (default: the source's "
            "test.csv or sample_submission.csv; without a source, the photos' own ids, sorted)",
        )
        parser.add_argument(
            "--batch_size", type=int, default=32, help="photos scored at once (default: 32)"
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        if not args.source and not args.images:
            raise UserError("expected --source or --images: what shall be scored?")
        if args.batch_size < 1:
            raise UserError(f"--batch_size: expected at least 1, found {args.batch_size}")


GROUPS = (
    options.OptionalSourceOptions,
    ScoreOptions,
    options.FetchOptions,
)


def score(args: argparse.Namespace, beam_options: PipelineOptions) -> dict[str, int]:
    """Scores and writes the submission; prints and returns its counts."""
    read_labels(args.model)  # before any photo is fetched
    source = discover(args.source, [args.split], args.archives) if args.source else None
    ids = args.ids or (source.test_csv if source and args.split == "test" else None)
    if args.ids:
        metadata.check_header(args.ids, metadata.IDS)
    paths = records.find(args.images, args.split) if args.images else []
    parameters = Parameters(_normal(args.model), args.limit, args.max_bytes)
    effort = Effort(args.attempts, options.threads(args, beam_options))
    handler: KeyedModelHandler = KeyedModelHandler(SavedModelHandler(args.model, args.batch_size))

    def build(pipeline: beam.Pipeline, progress_folder: str | None):
        if paths:
            photos = pipeline | beam.Create(paths) | beam.Reshuffle() | beam.FlatMap(records.read)
            rejects = pipeline | "NoRejects" >> beam.Create([])
        else:
            parts = pipeline | beam.Create(source.parts if source else [])
            photos, rejects = parts | ReadUnits(parameters, effort)
        predictions = (
            photos
            | "Infer" >> RunInference(handler)
            | "Tick" >> beam.Map(progress.passed, progress_folder, "photos")
        )  # (id, Prediction)
        return (predictions, rejects) | Submit(args.output, ids)

    files.remove(counts_path(args.output))
    with progress.bar("score", f"{args.output}.progress", "photos") as folder:
        engine.run(lambda pipeline: build(pipeline, folder), beam_options)
    counts = files.read_json(counts_path(args.output))
    _print(counts, args.output)
    return counts


def _normal(export: str) -> Normal:
    """How the photos were normalised that the model learnt from: the same pixels, then and now."""
    path = files.join(export, "stats.json")
    return Normal(**files.read_json(path)["photos"]) if files.exists(path) else Normal()


def _print(counts: dict[str, int], path: str) -> None:
    print(
        f"score: {counts['rows']} rows = {counts['predicted']} predicted + "
        f"{counts['unreadable']} unreadable + {counts['without_image']} without an image"
    )
    print(
        f"score: {counts['photos']} photos = {counts['predicted']} predicted + "
        f"{counts['not_listed']} not listed + {counts['repeated']} repeated"
    )
    print(f"score: {path}, {rejects_path(path)}")


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = options.parse(
        "score",
        "Score photos with an exported model and write a Kaggle submission: one row for each "
        "id, '<landmark_id> <score>' or an empty cell.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    score(args, beam_options)
    return 0
