"""Photos' embeddings and landmarks as Parquet files: the index that scores are re-ranked by."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import cli
from pipelines.common.errors import UserError
from pipelines.download.options import FetchOptions
from pipelines.runner.options import parse
from pipelines.score import inputs, model, prediction_store
from pipelines.score.inputs import PhotosOptions
from pipelines.score.pipeline import Job, ModelOptions, predict
from pipelines.score.prediction_store import Parts
from pipelines.score.rerank.nearest_neighbours import Block
from pipelines.source.options import OptionalSourceOptions
from pipelines.storage import filesystem, rejects

EXAMPLES = """\
  gld2 embed --images OUT/dataset --split train --model JOB/export --output OUT/embeddings
"""
NO_LANDMARK = -1


def embed(
    job: Job, args: argparse.Namespace, beam_options: PipelineOptions, title: str = "embed"
) -> None:
    """Embeds what is not embedded yet; prints the counts.

    Raises:
      UserError: the folder was made by another model or with other flags, some
        photos could not be read at all, or there are none.
    """
    if other := job.parts.claim(job.inputs):
        raise UserError(
            f"{job.parts.inputs}: made with another {', '.join(other)}; use the same or another "
            "folder"
        )
    filesystem.remove(job.parts.units)
    predict(job, args, beam_options, title)
    embedded, rejected = 0, 0
    units = list(job.photos.units())
    for unit in units:
        rejected += len(rejects.read_rejects(job.parts.rejects(unit.name)))
        if not job.parts.is_done(unit.name, unit):
            raise UserError(f"{unit.name} could not be read; {job.parts.rejects(unit.name)} why")
        embedded += len(job.parts.read(unit.name, "id"))
    if not embedded:
        raise UserError(f"{job.parts.root}: no photo could be embedded")
    filesystem.write_record(job.parts.units, [unit.name for unit in units])
    print(f"{title}: {embedded + rejected} photos = {embedded} embedded + {rejected} rejected")
    print(f"{title}: {job.parts.root}")


def unlabelled(table: pa.Table) -> Block:
    """Rows of `id` and `embedding` as a block whose labels say nothing."""
    ids = np.array(table["id"].to_pylist(), np.str_)
    return Block(ids, prediction_store.matrix(table, "embedding"), np.zeros(len(ids), np.int64))


def blocks(kept: Parts, units: Sequence[str]) -> Iterator[Block]:
    """A part at a time; a row that is not known to show a landmark has label NO_LANDMARK."""
    for unit in units:
        table = kept.read(unit, "id", "landmark_id", "embedding")
        labels = table["landmark_id"].fill_null(NO_LANDMARK).to_numpy()
        ids = np.array(table["id"].to_pylist(), np.str_)
        if len(table):
            yield Block(ids, prediction_store.matrix(table, "embedding"), labels)


class EmbedOptions:
    """Where embeddings go."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--output", required=True, help="a folder for the embeddings")

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        args.output = args.output.rstrip("/") or "/"


GROUPS = (
    OptionalSourceOptions,
    PhotosOptions,
    ModelOptions,
    EmbedOptions,
    FetchOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = parse(
        "embed",
        "Write each photo's embedding (float32, of length 1), and the landmark that its record "
        "says it shows, as Parquet: a file for each shard, archive or block of photos.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    place = model.find(args.model)
    place.labels()
    found = inputs.named(args, inputs.normal_of(place.export))
    embed(Job(found, place, Parts(args.output), top_k=1, embed=True), args, beam_options)
    return 0


if __name__ == "__main__":
    cli.door("embed", "pipelines.score.rerank.embed", "pipelines")
