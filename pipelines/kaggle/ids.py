"""Reads the ids that a submission has to have."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.common.errors import UserError
from pipelines.kaggle import submission
from pipelines.source import metadata_csv


def read_ids(path: str) -> pa.Array:
    """Reads the ids of test.csv or of a sample submission, in order, [rows] string.

    Raises:
      UserError: the file cannot be read, or has a cell that is no id, or an id twice.
    """
    metadata_csv.check_header(path, metadata_csv.IDS)
    blocks = metadata_csv.blocks(path, metadata_csv.IDS)
    chunks = [chunk for table in blocks for chunk in table["id"].chunks]
    ids = pa.concat_arrays([*chunks, pa.array([], pa.string())])
    repeated = np.flatnonzero(submission.repeated(ids))
    if len(repeated):
        first = int(repeated[0])
        raise UserError(f"{path} row {first + 2}: expected each id once, found {ids[first]} again")
    return ids
