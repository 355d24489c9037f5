"""Compares scored photos with their nearest train photos and with non-landmark photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths
from pipelines.common.errors import UserError
from pipelines.common.schema import EVIDENCE, NON_LANDMARKS
from pipelines.runner import engine, progress
from pipelines.score import inputs, prediction_store
from pipelines.score.options import ScoreOptions
from pipelines.score.pipeline import ScoringJob
from pipelines.score.prediction_store import Inputs, Parts, beside
from pipelines.score.rerank import embeddings, non_landmarks
from pipelines.score.rerank.nearest_neighbours import Block, mean_similarity, search
from pipelines.score.rerank.reranking import NEIGHBOURS, OF_NEIGHBOUR, OF_PHOTO, Evidence, rerank
from pipelines.storage import filesystem, hashing, parquet, photo_records

QUERIES = 4096  # photos compared with the index at once


@dataclasses.dataclass(frozen=True)
class Search:
    """The queries of a search, and the photos that they are compared with.

    Attributes:
      queries: predictions of scored photos, with embeddings.
      train: embeddings of photos of known landmarks.
      units: the names of train's parts.
      root: folder of the evidence and of the non-landmark photos' embeddings.
    """

    queries: Parts
    train: Parts
    units: tuple[str, ...]
    root: str

    @property
    def non_landmarks(self) -> str:
        """The path of the non-landmark photos' embeddings."""
        return paths.join(self.root, "non_landmarks.parquet")

    def evidence(self, unit: str) -> str:
        """Returns the path of the evidence on a unit's photos."""
        return paths.join(self.root, f"{unit}.evidence.parquet")


@dataclasses.dataclass(frozen=True)
class EvidenceInputs(Inputs):
    """The inputs of a folder of evidence: those of its queries, and what these are compared with.

    Attributes:
      photos: digest of the queries' units.
      train: digest of the train photos' units.
      non_landmarks: digest of the non-landmark photos' ids and embeddings.
    """

    photos: str
    train: str
    non_landmarks: str


def find_evidence(unit: str, where: Search) -> int:
    """Writes the evidence on one unit's photos; returns their number, 0 if it was there already.

    The index is read a block at a time, so that no worker holds all of it.
    """
    table = where.queries.read(unit, "id", "embedding")
    path = where.evidence(unit)
    if filesystem.exists(path) and parquet.read_table(path, {"id": "string"})["id"] == table["id"]:
        return 0
    other = embeddings.unlabelled(parquet.read_table(where.non_landmarks, NON_LANDMARKS))
    found = [
        _evidence_table(embeddings.unlabelled(table.slice(start, QUERIES)), other, where)
        for start in range(0, len(table), QUERIES)
    ]
    empty = parquet.arrow_schema(EVIDENCE).empty_table()
    parquet.write_table(path, pa.concat_tables([empty, *found]))
    engine.count("compared", len(table))
    return len(table)


def _evidence_table(some: Block, other: Block, where: Search) -> pa.Table:
    index = _labelled(where.train, where.units)
    nearest = search(some.vectors, index, NEIGHBOURS, without=some.ids, keep_vectors=True)
    vectors = nearest.vectors.reshape(-1, some.vectors.shape[1])
    similarities = mean_similarity(vectors, other, OF_NEIGHBOUR, nearest.ids.ravel())
    columns = {
        "id": some.ids,
        "neighbours": list(nearest.ids),
        "landmark_ids": list(nearest.labels),
        "similarities": list(nearest.similarities),
        "non_landmark_similarities": list(similarities.reshape(nearest.ids.shape)),
        "query_non_landmark_similarity": mean_similarity(some.vectors, other, OF_PHOTO, some.ids),
    }
    return pa.table(columns, parquet.arrow_schema(EVIDENCE))


def _labelled(train: Parts, units: Sequence[str]) -> Iterator[Block]:
    for block in embeddings.blocks(train, units):
        if (block.labels == embeddings.NO_LANDMARK).any():
            raise UserError(
                f"{train.root}: expected photos of known landmarks, found some whose records "
                "name none; use OUT/dataset, not the staged photos"
            )
        yield block


# ---- all units ------------------------------------------------------------------------------


def compare(job: ScoringJob, options: ScoreOptions, beam_options: PipelineOptions) -> Search:
    """Finds the evidence on all photos of a job; keeps what an earlier run found.

    Args:
      job: a scored job, with embeddings.
      options: the submission's path, and the photos that it is re-ranked by.
      beam_options: the runner and its flags.

    Returns:
      the search, whose folder has the evidence on each unit.

    Raises:
      UserError: a folder has no photos, or embeddings of another model.
    """
    units = [unit.name for unit in job.photos.units() if job.parts.is_done(unit.name, unit)]
    output, reranking = options.submission.output, options.reranking
    assert reranking.train is not None  # the options' check makes sure of it
    train, of_train = _embeddings(reranking.train, "train", job, options, beam_options)
    where = Search(job.parts, train, of_train, beside(output, "neighbours"))
    if place := reranking.non_landmarks:
        other = non_landmarks.by_hash(
            *_embeddings(place, "non_landmarks", job, options, beam_options)
        )
    else:
        other = non_landmarks.unsure(job.parts, units)
    if not len(other.ids):
        raise UserError("--rerank: found no photo to use as a non-landmark photo")
    _claim(where, job, units, other)
    with progress.bar("rerank", _unit_counter(where, units), "units", len(units), where.root):
        counters = engine.run(
            lambda p: p | beam.Create(units) | "Find" >> beam.Map(find_evidence, where),
            beam_options,
        )
    print(
        f"rerank: {counters.get('compared', 0)} photos compared with train photos in "
        f"{len(of_train)} files and with {len(other.ids)} non-landmark photos"
    )
    return where


def _unit_counter(where: Search, units: Sequence[str]) -> progress.Look:
    """Returns a counter of units with evidence; `_claim` has removed that of other photos."""
    ending = where.evidence("").rpartition("/")[2]
    finished = progress.Finished(where.root, ending, frozenset(units))
    return lambda: {"units": finished.count(filesystem.listing(where.root))}


def _claim(where: Search, job: ScoringJob, units: Sequence[str], other: Block) -> None:
    """Reserves the folder of evidence; removes evidence found with other inputs."""
    wanted = EvidenceInputs(
        **vars(job.inputs),
        photos=_digest(where.queries, units),
        train=_digest(where.train, where.units),
        non_landmarks=hashing.sha256("".join(other.ids).encode() + other.vectors.tobytes()),
    )
    Parts(where.root).claim_anew(wanted)
    columns = {"id": other.ids, "embedding": list(other.vectors)}
    table = pa.table(columns, parquet.arrow_schema(NON_LANDMARKS))
    parquet.write_table(where.non_landmarks, table)


def _digest(parts: Parts, units: Iterable[str]) -> str:
    """Returns the digest of what units were made from."""
    return hashing.sha256(b"".join(filesystem.read(parts.done(unit)) for unit in units))


def _embeddings(
    place: str,
    name: str,
    job: ScoringJob,
    options: ScoreOptions,
    beam_options: PipelineOptions,
) -> tuple[Parts, tuple[str, ...]]:
    """Returns embeddings and their units: those of gld2 embed, or of photos embedded now."""
    there = Parts(place.rstrip("/"))
    if filesystem.exists(there.inputs):
        if filesystem.read_record(Inputs, there.inputs).model != job.place.digest:
            raise UserError(f"--{name} {place}: embeddings of another model than {job.place.path}")
        if not filesystem.exists(there.units):
            raise UserError(
                f"--{name} {place}: not all photos are embedded yet; run its gld2 embed again"
            )
        return there, filesystem.read_record(tuple[str, ...], there.units)
    parameters = job.photos.parameters
    if name == "train":
        found = inputs.Photos(
            inputs.of_records(photo_records.find(place, name, "--train")), parameters
        )
    else:
        found = inputs.find_records_or_images(place, parameters)
    made = Parts(beside(options.submission.output, name))
    embedding = ScoringJob(found, job.place, made, top_k=1, embed=True)
    made.claim_anew(embedding.inputs)
    embeddings.embed(embedding, options, beam_options, name)
    return made, tuple(unit.name for unit in found.units())


def answers(where: Search, unit: str, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the re-ranked landmark of each photo of a unit, and its score.

    Args:
      where: the search that found the evidence.
      unit: the unit's name.
      weight: as in `reranking.rerank`.
    """
    table = where.queries.read(unit, "id", "landmark_ids", "scores")
    if not len(table):
        return np.zeros(0, np.int64), np.zeros(0)
    found = parquet.read_table(where.evidence(unit), EVIDENCE)
    evidence = Evidence(
        landmark_ids=prediction_store.matrix(table, "landmark_ids"),
        scores=prediction_store.matrix(table, "scores"),
        neighbour_ids=prediction_store.matrix(found, "landmark_ids"),
        similarities=prediction_store.matrix(found, "similarities"),
        non_landmark_similarities=prediction_store.matrix(found, "non_landmark_similarities"),
        query_non_landmark_similarity=found["query_non_landmark_similarity"].to_numpy(),
    )
    return rerank(evidence, weight)
