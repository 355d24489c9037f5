"""Tables move between workers in columns: few large elements, not one for each row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import apache_beam as beam
import numpy as np
import pandas as pd

from pipelines.runner.transform import Transform

ROWS = 100_000  # about what one partition holds
KEY_DIGITS = 8

Key = Callable[[pd.DataFrame], np.ndarray]


def partitions(rows: int) -> int:
    """How many partitions so many rows want; never by the number of workers."""
    return max(1, -(-rows // ROWS))


def by_hex(column: str, parts: int) -> Key:
    """Partitions by the first digits of a hash; in their order, so files come out sorted."""

    def key(data: pd.DataFrame) -> np.ndarray:
        digits = data[column].fillna("").str.slice(0, KEY_DIGITS).replace("", "0" * KEY_DIGITS)
        numbers = np.frombuffer(bytes.fromhex("".join(digits)), ">u4").astype(np.uint64)
        return (numbers * np.uint64(parts)) >> np.uint64(4 * KEY_DIGITS)

    return key


def by_number(column: str, parts: int) -> Key:
    """Partitions by an integer's remainder; nulls go to the first."""

    def key(data: pd.DataFrame) -> np.ndarray:
        return data[column].fillna(0).to_numpy(np.int64) % parts

    return key


def split(data: pd.DataFrame, key: Key) -> Iterator[tuple[int, pd.DataFrame]]:
    """The rows of each partition that has any."""
    if len(data):
        for part, rows in data.groupby(key(data), sort=True):
            yield int(part), rows  # type: ignore[call-overload]


@dataclasses.dataclass
class Repartition(Transform):
    """Tables -> one table for each partition, all its rows on one worker.

    Attributes:
      key: [rows] -> [rows] int, the partition of each row.
    """

    key: Key

    def expand(self, tables):
        return (
            tables  # table
            | "Split" >> beam.FlatMap(split, self.key)  # (partition, table)
            | "Group" >> beam.GroupByKey()  # (partition, [table])
            | "Concat" >> beam.MapTuple(lambda _, found: pd.concat(list(found), ignore_index=True))
        )


def batches(rows: Mapping[str, int]) -> list[list[str]]:
    """Paths of small tables, as many together as make about one partition.

    Args:
      rows: of each path; their order is kept.
    """
    found: list[list[str]] = []
    room = 0
    for path, number in rows.items():
        if number > room or not found:
            found.append([])
            room = ROWS
        found[-1].append(path)
        room -= number
    return found
