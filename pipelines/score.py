"""Pipeline 5: batch inference over photos, into a submission."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import files, metadata, network, options, parts, records, submission
from pipelines import predict as predicting
from pipelines.criteria import at_least
from pipelines.handler import LandmarkHandler
from pipelines.images import Normal
from pipelines.network import Place
from pipelines.parts import Parts
from pipelines.predict import Photos
from pipelines.schema import Reason, Reject, UserError
from pipelines.source import discover
from pipelines.unit import Effort, Parameters

EXAMPLES = """\
  gld2 score --source ROOT --model JOB/export --output submission.csv
  gld2 score --images OUT/dataset --split test --model JOB/export --output submission.csv
"""
Cells = dict[str, tuple[int, float]]  # id -> landmark_id, score


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be scored, and where to.

    Attributes:
      photos: that are scored.
      ids: CSV whose ids are the submission's rows, or None for the photos' own, sorted.
      path: of the submission.
    """

    photos: Photos
    ids: str | None
    path: str

    @property
    def parts(self) -> Parts:
        return Parts(beside(self.path, "parts"))


def beside(path: str, ending: str) -> str:
    """The name of what belongs to a submission."""
    return f"{path.removesuffix('.csv')}.{ending}"


# ---- from parts to the submission -----------------------------------------------------------


@dataclasses.dataclass
class Found:
    """What the parts hold of all photos.

    Attributes:
      cells: the best class of each photo.
      photos: how many predictions there are, an id's second ones counted.
      rejects: what could not be read.
      failed: units that could not be read at all, by name.
    """

    cells: Cells = dataclasses.field(default_factory=dict)
    photos: int = 0
    rejects: list[Reject] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)


def collect(task: Task) -> Found:
    """Reads a part at a time. Of an id's two predictions the better one counts."""
    found = Found()
    for unit in task.photos.units():
        found.rejects += parts.read_rejects(task.parts.rejects(unit.name))
        if not task.parts.is_done(unit.name, unit):
            found.failed.append(unit.name)
            continue
        table = task.parts.read(unit.name, "id", "landmark_ids", "scores")
        found.photos += len(table)
        for row in table.to_pylist():
            best = (row["landmark_ids"][0], row["scores"][0])
            if row["id"] not in found.cells or best[1] > found.cells[row["id"]][1]:
                found.cells[row["id"]] = best
    return found


def write(task: Task, found: Found) -> dict[str, int]:
    """Writes the submission and, beside it, the rejects and, last, the counts.

    Returns:
      the counts.

    Raises:
      UserError: there is no prediction at all.
    """
    cells = found.cells
    unread = {reject.id for reject in found.rejects if reject.id} - set(cells)
    rows = list(_listed(task.ids)) if task.ids else sorted(set(cells) | unread)
    listed = set(rows)
    extra = [
        Reject(i, "", "score", Reason.NOT_LISTED, f"{task.ids} has no such id")
        for i in sorted((set(cells) | unread) - listed)
    ]
    counts = {
        "rows": len(rows),
        "predicted": len(listed & set(cells)),
        "unreadable": len(listed & unread),
        "without_image": len(listed - set(cells) - unread),
        "photos": found.photos,
        "not_listed": len(set(cells) - listed),
        "repeated": found.photos - len(cells),
        "failed_units": len(found.failed),
    }
    _check(counts)
    rejects = beside(task.path, "rejects.jsonl")
    refused = sorted([*found.rejects, *extra], key=lambda r: (r.unit, r.id, r.reason))
    files.write(rejects, parts.jsonl(refused))
    if not cells:
        raise UserError(f"no photo could be scored; {rejects} says why of {len(refused)}")
    files.write(task.path, submission.write(rows, cells))
    files.write_json(beside(task.path, "counts.json"), counts)
    return counts


def _check(counts: dict[str, int]) -> None:
    rows = counts["predicted"] + counts["unreadable"] + counts["without_image"]
    photos = counts["predicted"] + counts["not_listed"] + counts["repeated"]
    if rows != counts["rows"] or photos != counts["photos"]:
        raise AssertionError(f"the sums do not hold: {counts}")


def _listed(path: str) -> Iterable[str]:
    for block in metadata.ids(path):
        yield from block


# ---- the command ----------------------------------------------------------------------------


class ModelOptions:
    """What scores, and how."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("model")
        group.add_argument(
            "--model",
            required=True,
            help="JOB/export of gld2 train, or a .keras file or saved_model folder with "
            "labels.csv beside it",
        )
        group.add_argument(
            "--batch_size",
            type=int,
            default=64,
            help="photos handed to the model at once, rounded down to a multiple of "
            f"{network.CHUNK}; no score hangs on it (default: %(default)s)",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "batch_size", 1)


class PhotosOptions:
    """Which photos."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--split", default="test", help="which split (default: %(default)s)")
        parser.add_argument(
            "--images",
            metavar="PLACE",
            help="photos that are staged or sharded already: OUT, OUT/dataset, a version "
            "folder or a pattern of TFRecord files",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        if not args.source and not args.images:
            raise UserError("expected --source or --images: where are the photos?")


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
            default=1,
            help="classes that are kept of each photo (default: %(default)s)",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "top_k", 1)
        if args.ids:
            metadata.check_header(args.ids, metadata.IDS)


GROUPS = (
    options.OptionalSourceOptions,
    PhotosOptions,
    ModelOptions,
    ScoreOptions,
    options.FetchOptions,
)


def score(args: argparse.Namespace, beam_options: PipelineOptions) -> dict[str, int]:
    """Scores and writes the submission; prints and returns its counts."""
    place = network.find(args.model)
    task = _task(args, place)
    files.remove(*files.match(beside(args.output, "*.tmp")))  # that a killed run left
    _claim(task, place, args)
    handler = LandmarkHandler(
        place, args.batch_size, options.threads(args, beam_options), args.top_k, embed=False
    )
    effort = Effort(args.attempts, options.threads(args, beam_options))
    predicting.predict(task.photos, task.parts, effort, handler, beam_options, "score")
    found = collect(task)
    counts = write(task, found)
    _print(counts, found.failed, task.path)
    return counts


def _task(args: argparse.Namespace, place: Place) -> Task:
    place.labels()  # before any photo is fetched
    parameters = Parameters(_normal(place.export), args.limit, args.max_bytes)
    if args.images:
        items = predicting.of_records(records.find(args.images, args.split))
        return Task(Photos(items, parameters), args.ids, args.output)
    source = discover(args.source, [args.split], args.archives)
    ids = args.ids or (source.test_csv if args.split == "test" else None)
    return Task(Photos(source.parts, parameters), ids, args.output)


def _claim(task: Task, place: Place, args: argparse.Namespace) -> None:
    """Predictions that another model made, or with other flags, are of no use here."""
    inputs = {
        "model": place.digest(),
        "parameters": dataclasses.asdict(task.photos.parameters),
        "top_k": args.top_k,
    }
    if other := task.parts.claim(inputs):
        print(f"score: {task.parts.root} was made with another {', '.join(other)}: made anew")
        files.remove(task.parts.root)
        task.parts.claim(inputs)


def _normal(export: str) -> Normal:
    """How the photos were normalised that the model learnt from: the same pixels, then and now."""
    path = files.join(export, "stats.json")
    return Normal(**files.read_json(path)["photos"]) if files.exists(path) else Normal()


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
