"""Each scored photo beside its nearest train photos and beside photos of no landmark."""

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

QUERIES = 4096  # photos that go through the index together


@dataclasses.dataclass(frozen=True)
class Search:
    """What is searched for, and in what.

    Attributes:
      queries: scored photos with embeddings.
      train: embeddings of photos of known landmarks.
      units: the names of train's parts.
      root: where evidence goes, and the non-landmark photos lie.
    """

    queries: Parts
    train: Parts
    units: tuple[str, ...]
    root: str

    @property
    def non_landmarks(self) -> str:
        return paths.join(self.root, "non_landmarks.parquet")

    def evidence(self, unit: str) -> str:
        return paths.join(self.root, f"{unit}.evidence.parquet")


@dataclasses.dataclass(frozen=True)
class EvidenceInputs(Inputs):
    """What inputs.json says of a folder of evidence: the same of its queries, and more.

    Attributes:
      photos: digest of what the queries' units were made from.
      train: the same of the train photos.
      non_landmarks: digest of the photos of no landmark.
    """

    photos: str
    train: str
    non_landmarks: str


def find_evidence(unit: str, where: Search) -> int:
    """Writes the evidence on one part's photos unless it is there; returns how many they are.

    The index goes by a block at a time: no worker holds it.
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
    penalties = mean_similarity(vectors, other, OF_NEIGHBOUR, nearest.ids.ravel())
    columns = {
        "id": some.ids,
        "neighbours": list(nearest.ids),
        "landmark_ids": list(nearest.labels),
        "similarities": list(nearest.similarities),
        "penalties": list(penalties.reshape(nearest.ids.shape)),
        "own": mean_similarity(some.vectors, other, OF_PHOTO, some.ids),
    }
    return pa.table(columns, parquet.arrow_schema(EVIDENCE))


def _labelled(train: Parts, units: Sequence[str]) -> Iterator[Block]:
    for block in embeddings.blocks(train, units):
        if (block.labels == embeddings.NO_LANDMARK).any():
            raise UserError(
                f"{train.root}: expected photos of known landmarks, found some whose records "
                "name none; take OUT/dataset, not what is staged"
            )
        yield block


# ---- all of it ------------------------------------------------------------------------------


def compare(job: ScoringJob, options: ScoreOptions, beam_options: PipelineOptions) -> Search:
    """Finds the evidence on all of a job's photos; what was found before is kept.

    Args:
      job: scored, with embeddings.
      options: where the submission goes, and what it is re-ranked by.
      beam_options: where it runs.

    Raises:
      UserError: a place has no photos, or embeddings of another model.
    """
    units = [unit.name for unit in job.photos.units() if job.parts.is_done(unit.name, unit)]
    output, reranking = options.submission.output, options.reranking
    assert reranking.train is not None  # as the options' own check has it
    train, of_train = _embeddings(reranking.train, "train", job, options, beam_options)
    where = Search(job.parts, train, of_train, beside(output, "neighbours"))
    if place := reranking.non_landmarks:
        other = non_landmarks.by_hash(
            *_embeddings(place, "non_landmarks", job, options, beam_options)
        )
    else:
        other = non_landmarks.unsure(job.parts, units)
    if not len(other.ids):
        raise UserError("--rerank: found no photo to take as one of no landmark")
    _claim(where, job, units, other)
    with progress.bar("rerank", _unit_counter(where, units), "units", len(units), where.root):
        counters = engine.run(
            lambda p: p | beam.Create(units) | "Find" >> beam.Map(find_evidence, where),
            beam_options,
        )
    print(
        f"rerank: {counters.get('compared', 0)} photos compared with train photos in "
        f"{len(of_train)} files and with {len(other.ids)} of no landmark"
    )
    return where


def _unit_counter(where: Search, units: Sequence[str]) -> progress.Look:
    """Returns what counts the units with evidence; `_claim` has left none of other photos."""
    ending = where.evidence("").rpartition("/")[2]
    finished = progress.Finished(where.root, ending, frozenset(units))
    return lambda: {"units": finished.count(filesystem.listing(where.root))}


def _claim(where: Search, job: ScoringJob, units: Sequence[str], other: Block) -> None:
    """Evidence that was found of or with other photos is of no use."""
    inputs = EvidenceInputs(
        **vars(job.inputs),
        photos=_digest(where.queries, units),
        train=_digest(where.train, where.units),
        non_landmarks=hashing.sha256("".join(other.ids).encode() + other.vectors.tobytes()),
    )
    folder = Parts(where.root)
    if folder.claim(inputs):
        filesystem.remove(where.root)
        folder.claim(inputs)
    columns = {"id": other.ids, "embedding": list(other.vectors)}
    table = pa.table(columns, parquet.arrow_schema(NON_LANDMARKS))
    parquet.write_table(where.non_landmarks, table)


def _digest(kept: Parts, units: Iterable[str]) -> str:
    """Of what units were made from."""
    return hashing.sha256(b"".join(filesystem.read(kept.done(unit)) for unit in units))


def _embeddings(
    place: str,
    name: str,
    job: ScoringJob,
    options: ScoreOptions,
    beam_options: PipelineOptions,
) -> tuple[Parts, tuple[str, ...]]:
    """Embeddings that gld2 embed made, or of photos that are embedded now; and their units."""
    there = Parts(place.rstrip("/"))
    if filesystem.exists(there.inputs):
        if filesystem.read_record(Inputs, there.inputs).model != job.place.digest():
            raise UserError(f"--{name} {place}: embeddings of another model than {job.place.path}")
        if not filesystem.exists(there.units):
            raise UserError(
                f"--{name} {place}: not all photos are embedded yet; run its gld2 embed again"
            )
        return there, filesystem.read_record(tuple[str, ...], there.units)
    parameters = job.photos.parameters
    if name == "train":
        found = inputs.Photos(inputs.of_records(photo_records.find(place, name)), parameters)
    else:
        found = inputs.find_records_or_images(place, parameters)
    made = Parts(beside(options.submission.output, name))
    embedding = ScoringJob(found, job.place, made, top_k=1, embed=True)
    if made.claim(embedding.inputs):
        filesystem.remove(made.root)
    embeddings.embed(embedding, options, beam_options, name)
    return made, tuple(unit.name for unit in found.units())


def answers(where: Search, unit: str, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """The landmark of each of a part's photos, and its score."""
    table = where.queries.read(unit, "id", "landmark_ids", "scores")
    if not len(table):
        return np.zeros(0, np.int64), np.zeros(0)
    found = parquet.read_table(where.evidence(unit), EVIDENCE)
    evidence = Evidence(
        landmark_ids=prediction_store.matrix(table, "landmark_ids"),
        scores=prediction_store.matrix(table, "scores"),
        neighbour_ids=prediction_store.matrix(found, "landmark_ids"),
        similarities=prediction_store.matrix(found, "similarities"),
        non_landmark_similarities=prediction_store.matrix(found, "penalties"),
        query_non_landmark_similarity=found["own"].to_numpy(),
    )
    return rerank(evidence, weight)
