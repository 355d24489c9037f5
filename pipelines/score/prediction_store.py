"""Predictions on disk: a part for each unit of photos, whole or not there. No Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
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
    """What inputs.json says of a folder: what its predictions hang on, beside each unit's photos.

    Attributes:
      model: its digest.
      parameters: how photos are normalised that were not before.
      top_k: classes that are kept of each photo.
      embed: whether there are embeddings.
    """

    REMEDY: ClassVar[str] = "remove its folder and run again"  # what lies there may not fit

    model: str
    parameters: RecordParameters
    top_k: int
    embed: bool


@dataclasses.dataclass(frozen=True)
class Done:
    """What <unit>.done.json says of a part.

    Attributes:
      photos: with a prediction.
      rejected: that could not be read.
      passing: of them, those that another day may mend.
      source: digest of what the unit was made from.
    """

    photos: int
    rejected: int
    source: str
    passing: int = 0


@dataclasses.dataclass(frozen=True)
class ScoredPhoto:
    """A photo and what the network makes of it."""

    id: str
    landmark_id: int | None
    prediction: Prediction


@dataclasses.dataclass(frozen=True)
class Parts:
    """A folder of predictions.

    Attributes:
      root: local or gs://.
    """

    root: str

    def predictions(self, unit: str) -> str:
        return paths.join(self.root, f"{unit}.parquet")

    def rejects(self, unit: str) -> str:
        return paths.join(self.root, f"{unit}.rejects.jsonl")

    def done(self, unit: str) -> str:
        """Written last: the unit's counts, and the digest of what it was made from."""
        return paths.join(self.root, f"{unit}.done.json")

    @property
    def inputs(self) -> str:
        """What all units are made with."""
        return paths.join(self.root, "inputs.json")

    def claim(self, inputs: Inputs) -> list[str]:
        """Makes the folder one of predictions made with these inputs.

        Returns:
          what is otherwise, where it holds predictions made with others; it is
          then left as it is.
        """
        filesystem.make_folder(self.root)
        filesystem.remove_temporaries(self.root)
        if filesystem.exists(self.inputs):
            # As it lies there: it may be of another version, or of another kind of folder.
            found = filesystem.read_record(dict[str, Any], self.inputs, Inputs.REMEDY)
            wanted = json_record.plain(inputs)
            return [n for n in sorted({*found, *wanted}) if found.get(n) != wanted.get(n)]
        filesystem.write_record(self.inputs, inputs)
        return []

    def is_done(self, unit: str, source: object) -> bool:
        """Whether a unit's predictions are there, made from this source."""
        return self._done(unit, source) is not None

    def is_final(self, unit: str, source: object) -> bool:
        """Whether they are, and no photo is missing for a reason that another day may mend."""
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
        """Writes a unit's part; done.json comes last."""
        filesystem.remove(self.done(unit))
        parquet.write_table(self.predictions(unit), _table(rows))
        self.write_rejects(unit, rejects)
        passing = sum(reject.reason in TRANSIENT for reject in rejects)
        done = Done(len(rows), len(rejects), _digest(source), passing)
        filesystem.write_record(self.done(unit), done)

    def write_rejects(self, unit: str, rejects: Iterable[Reject]) -> None:
        filesystem.write(self.rejects(unit), jsonl(rejects))

    def read(self, unit: str, *columns: str) -> pa.Table:
        """Some columns of PREDICTIONS.

        Raises:
          UserError: the part is not there or is no such table.
        """
        return parquet.read_table(
            self.predictions(unit), {c: schema.PREDICTIONS[c] for c in columns}
        )

    @property
    def units(self) -> str:
        """The names of all units, written when all of them are done."""
        return paths.join(self.root, "units.json")


def matrix(table: pa.Table, column: str) -> np.ndarray:
    """[rows, values]: a column whose lists are equally long.

    Raises:
      UserError: some row has none.
    """
    lists = table[column].combine_chunks()
    if lists.null_count:
        raise UserError(f"{column}: expected a value in each row, found none in some")
    values = lists.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(table), -1) if len(table) else values.reshape(0, 0)


def unique_names(units: Iterable[str]) -> Iterator[str]:
    """The units' names.

    Raises:
      UserError: two are the same, so that one part would take the other's place.
    """
    seen: set[str] = set()
    for name in units:
        if name in seen:
            raise UserError(f"two files of photos are called {name}: score them one by one")
        seen.add(name)
        yield name


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
    """The name of what belongs to a submission."""
    return f"{path.removesuffix('.csv')}.{ending}"
