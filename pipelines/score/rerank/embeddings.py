"""Writes and reads photos' embeddings and landmarks, the index that re-ranking searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common.errors import UserError
from pipelines.score import prediction_store
from pipelines.score.options import InferenceOptions
from pipelines.score.pipeline import ScoringJob, predict
from pipelines.score.prediction_store import Parts
from pipelines.score.rerank.nearest_neighbours import Block
from pipelines.storage import filesystem, rejects

NO_LANDMARK = -1


def embed(
    job: ScoringJob, options: InferenceOptions, beam_options: PipelineOptions, title: str = "embed"
) -> None:
    """Embeds the photos of a job that are not embedded yet, and prints the counts.

    Args:
      job: the photos, the model and the folder of embeddings.
      options: the flags of inference.
      beam_options: of the Beam pipeline.
      title: of the printed lines.

    Raises:
      UserError: the folder was made with another model or other flags, a unit of photos could
        not be read at all, or no photo could be embedded.
    """
    if other := job.parts.claim(job.inputs):
        raise UserError(
            f"{job.parts.inputs}: made with another {', '.join(other)}; use the same, or write to "
            "another folder"
        )
    filesystem.remove(job.parts.units)
    predict(job, options, beam_options, title)
    embedded, rejected = 0, 0
    units = list(job.photos.units())
    for unit in units:
        rejected += len(rejects.read_rejects(job.parts.rejects(unit.name)))
        if not job.parts.is_done(unit.name, unit):
            raise UserError(
                f"{unit.name} could not be read; {job.parts.rejects(unit.name)} says why"
            )
        embedded += len(job.parts.read(unit.name, "id"))
    if not embedded:
        raise UserError(f"{job.parts.root}: no photo could be embedded")
    filesystem.write_record(job.parts.units, [unit.name for unit in units])
    print(f"{title}: {embedded + rejected} photos = {embedded} embedded + {rejected} rejected")
    print(f"{title}: {job.parts.root}")


def unlabelled(table: pa.Table) -> Block:
    """Converts a table of `id` and `embedding` to a block whose labels are all 0."""
    ids = np.array(table["id"].to_pylist(), np.str_)
    return Block(ids, prediction_store.matrix(table, "embedding"), np.zeros(len(ids), np.int64))


def blocks(parts: Parts, units: Sequence[str]) -> Iterator[Block]:
    """Yields a block for each unit; the label of a row without a landmark is NO_LANDMARK."""
    for unit in units:
        table = parts.read(unit, "id", "landmark_id", "embedding")
        labels = table["landmark_id"].fill_null(NO_LANDMARK).to_numpy()
        if len(table):
            yield dataclasses.replace(unlabelled(table), labels=labels)
