"""Finds a version of a dataset and loads its counts and labels."""

from __future__ import annotations

import dataclasses

from pipelines.common import versions
from pipelines.common.errors import UserError
from pipelines.common.labels import Label, parse_labels
from pipelines.common.paths import join
from pipelines.common.records.stats import STATS, Stats
from pipelines.common.schema import DATASET, OUTPUT_SPLITS
from pipelines.storage import filesystem


def find_version(dataset: str) -> str:
    """Returns the folder of a version: `dataset` itself, or the newest version in it.

    The trainer takes the same version.

    Raises:
      UserError: there is none.
    """
    dataset = dataset.rstrip("/") or "/"
    if filesystem.exists(join(dataset, "labels.csv")):
        return dataset
    for parent in (dataset, join(dataset, DATASET)):
        found = [f for f in filesystem.folders(parent) if filesystem.exists(join(f, "labels.csv"))]
        if found := versions.newest_first(found):
            return found[0]
    raise UserError(f"{dataset}: expected {DATASET}/<version>/labels.csv in it; run gld2 shard")


def load_version(folder: str) -> tuple[Stats, list[Label]]:
    """Reads stats.json, its splits in the usual order, and labels.csv of a version.

    Raises:
      UserError: one of them cannot be read.
    """
    path = join(folder, "labels.csv")
    labels = parse_labels(filesystem.read(path).decode("utf-8", "replace"), path)
    stats = filesystem.read_record(Stats, join(folder, STATS))
    splits = {name: stats.splits[name] for name in OUTPUT_SPLITS if name in stats.splits}
    return dataclasses.replace(stats, splits=splits), labels
