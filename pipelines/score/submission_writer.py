"""Collects predictions from disk and writes them as a submission."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.common.errors import UserError, unequal
from pipelines.common.reasons import Reason, Reject
from pipelines.common.schema import TOP_K
from pipelines.kaggle import submission
from pipelines.kaggle.ids import read_ids
from pipelines.score import prediction_store
from pipelines.score.pipeline import ScoringJob
from pipelines.score.prediction_store import beside
from pipelines.score.rerank.reranking import demote
from pipelines.storage import filesystem, parquet
from pipelines.storage.rejects import jsonl, read_rejects

Cells = dict[str, tuple[int, float]]  # id -> landmark_id, score


# ---- from parts to the submission -----------------------------------------------------------


@dataclasses.dataclass
class Found:
    """All predictions and rejects of a folder's parts.

    Attributes:
      ids: [photos] the photos' ids; one may occur twice.
      landmark_ids: [photos] int64, the predicted landmarks.
      scores: [photos] their scores.
      rejects: of all units.
      failed: names of the units that have no predictions.
    """

    ids: list[str] = dataclasses.field(default_factory=list)
    landmark_ids: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    scores: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    rejects: list[Reject] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)

    def cells(self) -> Cells:
        """Returns a prediction for each id: of several, the one with the highest score."""
        cells: Cells = {}
        for row in zip(self.ids, self.landmark_ids.tolist(), self.scores.tolist(), strict=True):
            if row[0] not in cells or row[2] > cells[row[0]][1]:
                cells[row[0]] = row[1:]
        return cells


@dataclasses.dataclass(frozen=True)
class Counts:
    """The counts of a submission: counts.json.

    Attributes:
      rows: number of rows: predicted + unreadable + without_image.
      predicted: rows with a landmark.
      unreadable: rows whose photo cannot be read.
      without_image: rows without a photo.
      photos: photos with a prediction: predicted + not_listed + repeated.
      not_listed: photos without a row.
      repeated: photos whose id occurred before.
      failed_units: units that have no predictions.
    """

    rows: int
    predicted: int
    unreadable: int
    without_image: int
    photos: int
    not_listed: int
    repeated: int
    failed_units: int


Answers = Callable[[str], tuple[np.ndarray, np.ndarray]]  # unit -> landmark_ids, scores


def collect(job: ScoringJob, answers: Answers) -> Found:
    """Reads ids and rejects of all parts; `answers` gives the predictions of each."""
    found = Found()
    every = []
    for unit in job.photos.units():
        found.rejects += read_rejects(job.parts.rejects(unit.name))
        if job.parts.is_done(unit.name, unit):
            found.ids += job.parts.read(unit.name, "id")["id"].to_pylist()
            every.append(answers(unit.name))
        else:
            found.failed.append(unit.name)
    if every:
        found.landmark_ids, found.scores = map(np.concatenate, zip(*every, strict=True))
    return found


def best_classes(job: ScoringJob, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the landmark of each photo's best class, and its probability, for one unit."""
    table = job.parts.read(unit, "landmark_ids", "scores")
    if not len(table):
        return np.zeros(0, np.int64), np.zeros(0)
    landmark_ids = prediction_store.matrix(table, "landmark_ids")
    return landmark_ids[:, 0], prediction_store.matrix(table, "scores")[:, 0]


def write_top_k(job: ScoringJob, path: str) -> None:
    """Writes a row for each class kept of each photo: Parquet if so named, otherwise CSV."""
    tables = [parquet.arrow_schema(TOP_K).empty_table()]
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
            tables.append(pa.table(rows, parquet.arrow_schema(TOP_K)))
    table = pa.concat_tables(tables)
    if path.endswith(".parquet"):
        parquet.write_table(path, table)
    else:
        filesystem.write(path, table.to_pandas().to_csv(index=False, lineterminator="\n"))


def listed_ids(path: str | None) -> list[str] | None:
    """Reads the ids of a submission's rows, in order; None where no CSV lists them.

    Raises:
      UserError: an id is malformed or repeated, or there is none.
    """
    if path is None:
        return None
    if not (ids := read_ids(path).to_pylist()):
        raise UserError(f"{path}: expected ids, one to a row, found none")
    return ids


def write(path: str, ids: Sequence[str] | None, found: Found, over: int | None = None) -> Counts:
    """Writes the submission and, beside it, the rejects and, last, the counts.

    Args:
      path: the submission's path.
      ids: ids of its rows; None for those of all photos, sorted.
      found: predictions and rejects.
      over: a landmark predicted in more rows than this is ranked below all others; None for
        no such limit.

    Returns:
      the counts.

    Raises:
      UserError: there is no prediction.
    """
    cells = found.cells()
    unread = {r.id for r in found.rejects if r.id and r.reason != Reason.MISSING} - set(cells)
    rows = sorted(set(cells) | unread) if ids is None else list(ids)
    listed = set(rows)
    extra = [
        Reject(i, "", "score", Reason.NOT_LISTED, "it is not among the listed ids")
        for i in sorted((set(cells) | unread) - listed)
    ]
    counts = Counts(
        rows=len(rows),
        predicted=len(listed & set(cells)),
        unreadable=len(listed & unread),
        without_image=len(listed - set(cells) - unread),
        photos=len(found.ids),
        not_listed=len(set(cells) - listed),
        repeated=len(found.ids) - len(cells),
        failed_units=len(found.failed),
    )
    _check(counts)
    rejects = beside(path, "rejects.jsonl")
    refused = sorted([*found.rejects, *extra], key=lambda r: (r.unit, r.id, r.reason))
    filesystem.write(rejects, jsonl(refused))
    if not cells:
        raise UserError(f"no photo could be scored; {rejects} gives the reasons for {len(refused)}")
    if over:
        cells = demoted({i: cells[i] for i in rows if i in cells}, over)
    filesystem.write(path, submission.write(rows, cells))
    filesystem.write_record(beside(path, "counts.json"), counts)
    return counts


def demoted(cells: Cells, over: int) -> Cells:
    """Returns the cells; those whose landmark occurs in more than `over` are ranked last."""
    landmark_ids, scores = map(np.array, zip(*cells.values(), strict=True))
    scores = demote(landmark_ids, scores, over)
    return dict(zip(cells, zip(landmark_ids.tolist(), scores.tolist(), strict=True), strict=True))


def _check(counts: Counts) -> None:
    rows = counts.predicted + counts.unreadable + counts.without_image
    photos = counts.predicted + counts.not_listed + counts.repeated
    if rows != counts.rows or photos != counts.photos:
        raise unequal(f"the counts of the submission do not add up: {counts}")
