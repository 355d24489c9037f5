"""Partitions tables by a key: workers exchange a few large tables instead of single rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import apache_beam as beam
import numpy as np
import pandas as pd

from pipelines.runner.transform import Transform

ROWS = 100_000  # approximate rows of a partition
KEY_DIGITS = 8

Key = Callable[[pd.DataFrame], np.ndarray]


def partition_count(rows: int) -> int:
    """Returns the number of partitions for `rows`; it does not depend on the workers."""
    return max(1, -(-rows // ROWS))


def by_hex(column: str, parts: int) -> Key:
    """Returns a key that partitions by the first digits of a hash, in their order.

    So the files of the partitions are sorted by the hash.
    """

    def key(data: pd.DataFrame) -> np.ndarray:
        digits = data[column].fillna("").str.slice(0, KEY_DIGITS).replace("", "0" * KEY_DIGITS)
        numbers = np.frombuffer(bytes.fromhex("".join(digits)), ">u4").astype(np.uint64)
        return (numbers * np.uint64(parts)) >> np.uint64(4 * KEY_DIGITS)

    return key


def by_number(column: str, parts: int) -> Key:
    """Returns a key that partitions by an integer's remainder; nulls go to partition 0."""

    def key(data: pd.DataFrame) -> np.ndarray:
        return data[column].fillna(0).to_numpy(np.int64) % parts

    return key


def split(data: pd.DataFrame, key: Key) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yields the number and the rows of each partition that is not empty."""
    if len(data):
        for part, rows in data.groupby(key(data), sort=True):
            yield int(part), rows  # type: ignore[call-overload]


@dataclasses.dataclass
class Repartition(Transform):
    """Merges the rows of tables into one table for each partition.

    Attributes:
      key: table -> [rows] int, the partition of each row.
    """

    key: Key

    def expand(self, tables):
        """Returns one table for each partition that is not empty."""
        return (
            tables  # table
            | "Split" >> beam.FlatMap(split, self.key)  # (partition, table)
            | "Group" >> beam.GroupByKey()  # (partition, [table])
            | "Concat" >> beam.MapTuple(lambda _, found: pd.concat(list(found), ignore_index=True))
        )


def batches(rows: Mapping[str, int]) -> list[list[str]]:
    """Groups paths of small tables so that each group has about as many rows as a partition.

    Args:
      rows: path -> number of its rows; their order is kept.
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
