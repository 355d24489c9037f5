"""Stores predictions on disk without Beam: a part for each unit of photos, whole or absent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from pipelines.common import paths, schema
from pipelines.common.errors import UserError
from pipelines.common.reasons import Reject
from pipelines.common.records import json_record
from pipelines.score.model import Prediction
from pipelines.source.unit import TRANSIENT, RecordParameters
from pipelines.storage import filesystem, hashing, parquet
from pipelines.storage.rejects import jsonl


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The inputs of a folder's predictions, apart from each unit's photos: inputs.json.

    Attributes:
      model: the model's digest.
      parameters: how photos are normalised that were not normalised before.
      top_k: number of classes kept for each photo.
      embed: whether there are embeddings.
    """

    REMEDY: ClassVar[str] = "remove its folder and run again"  # what lies there may not fit

    model: str
    parameters: RecordParameters
    top_k: int
    embed: bool


@dataclasses.dataclass(frozen=True)
class Done:
    """The counts of a finished part: <unit>.done.json.

    Attributes:
      photos: number of photos with a prediction.
      rejected: number of rejects, such as photos that could not be read.
      source: digest of the unit that the part was made from.
      passing: number of rejects for a transient reason, which a later run may not meet.
    """

    photos: int
    rejected: int
    source: str
    passing: int = 0


@dataclasses.dataclass(frozen=True)
class ScoredPhoto:
    """A photo and its prediction.

    Attributes:
      id: the photo's id.
      landmark_id: the landmark that it is known to show, or None.
      prediction: the network's output.
    """

    id: str
    landmark_id: int | None
    prediction: Prediction


@dataclasses.dataclass(frozen=True)
class Parts:
    """A folder of predictions.

    Attributes:
      root: its path, local or gs://.
    """

    root: str

    def predictions(self, unit: str) -> str:
        """Returns the path of a unit's predictions, as Parquet."""
        return paths.join(self.root, f"{unit}.parquet")

    def rejects(self, unit: str) -> str:
        """Returns the path of a unit's rejects, as JSON lines."""
        return paths.join(self.root, f"{unit}.rejects.jsonl")

    def done(self, unit: str) -> str:
        """Returns the path of a unit's `Done`, which is written last."""
        return paths.join(self.root, f"{unit}.done.json")

    @property
    def inputs(self) -> str:
        """The path of the `Inputs` that all units have in common."""
        return paths.join(self.root, "inputs.json")

    @property
    def units(self) -> str:
        """The path of the list of all units' names, which is written when all are done."""
        return paths.join(self.root, "units.json")

    def claim(self, inputs: Inputs) -> list[str]:
        """Reserves the folder for predictions made with these inputs.

        Returns:
          the names of the inputs that differ, where the folder holds predictions
          made with others; it is then left as it is.
        """
        filesystem.make_folder(self.root)
        filesystem.remove_temporaries(self.root)
        if filesystem.exists(self.inputs):
            # Not as Inputs: another version, or another kind of folder, may have other fields.
            found = filesystem.read_record(dict[str, Any], self.inputs, Inputs.REMEDY)
            wanted = json_record.plain(inputs)
            return [n for n in sorted({*found, *wanted}) if found.get(n) != wanted.get(n)]
        filesystem.write_record(self.inputs, inputs)
        return []

    def claim_anew(self, inputs: Inputs) -> list[str]:
        """Reserves the folder; removes what was made with other inputs, and returns their names."""
        other = self.claim(inputs)
        if other:
            filesystem.remove(self.root)
            self.claim(inputs)
        return other

    def is_done(self, unit: str, source: object) -> bool:
        """Returns whether the folder has a unit's predictions, made from this source."""
        return self._done(unit, source) is not None

    def is_final(self, unit: str, source: object) -> bool:
        """Returns whether a unit is done and none of its rejects has a transient reason."""
        done = self._done(unit, source)
        return done is not None and not done.passing

    def _done(self, unit: str, source: object) -> Done | None:
        path = self.done(unit)
        if not filesystem.exists(path):
            return None
        found = filesystem.read_record(Done, path)
        return found if found.source == _digest(source) else None

    def write(
        self, unit: str, source: object, rows: Sequence[ScoredPhoto], rejects: Sequence[Reject]
    ) -> None:
        """Writes a unit's part, its done.json last.

        Args:
          unit: the unit's name.
          source: the unit, whose digest done.json holds.
          rows: its predictions.
          rejects: all of its rejects.
        """
        filesystem.remove(self.done(unit))
        parquet.write_table(self.predictions(unit), _table(rows))
        self.write_rejects(unit, rejects)
        passing = sum(reject.reason in TRANSIENT for reject in rejects)
        done = Done(len(rows), len(rejects), _digest(source), passing)
        filesystem.write_record(self.done(unit), done)

    def write_rejects(self, unit: str, rejects: Iterable[Reject]) -> None:
        """Writes a unit's rejects in place of earlier ones."""
        filesystem.write(self.rejects(unit), jsonl(rejects))

    def read(self, unit: str, *columns: str) -> pa.Table:
        """Reads some columns of a unit's predictions, named as in PREDICTIONS.

        Raises:
          UserError: the part is absent or lacks a column.
        """
        return parquet.read_table(
            self.predictions(unit), {c: schema.PREDICTIONS[c] for c in columns}
        )


def matrix(table: pa.Table, column: str) -> np.ndarray:
    """Returns a column of equally long lists as [rows, values].

    Raises:
      UserError: a row has no list.
    """
    lists = table[column].combine_chunks()
    if lists.null_count:
        raise UserError(f"{column}: expected a value in each row, found none in some")
    values = lists.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(table), -1) if len(table) else values.reshape(0, 0)


def _table(rows: Sequence[ScoredPhoto]) -> pa.Table:
    columns = {
        "id": [row.id for row in rows],
        "landmark_id": [row.landmark_id for row in rows],
        "landmark_ids": [row.prediction.landmark_ids for row in rows],
        "scores": [row.prediction.scores for row in rows],
        "embedding": [row.prediction.embedding for row in rows],
    }
    return pa.table(columns, parquet.arrow_schema(schema.PREDICTIONS))


def _digest(source: object) -> str:
    return hashing.sha256(repr(source).encode())


def beside(path: str, ending: str) -> str:
    """Returns the path of a file that belongs to a submission: its own, with another ending."""
    return f"{path.removesuffix('.csv')}.{ending}"
