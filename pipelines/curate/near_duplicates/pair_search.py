"""Finds pairs of near-duplicate photos with one pipeline for each hash in facts."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import apache_beam as beam
import numpy as np
import pandas as pd
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths, schema
from pipelines.common.paths import Output
from pipelines.common.records.curation import Curation, PairCounts
from pipelines.common.schema import STAGED, STAGED_SPLITS
from pipelines.curate.near_duplicates import duplicates, multi_index_hashing
from pipelines.curate.near_duplicates.multi_index_hashing import PHOTO
from pipelines.runner import engine, partition, progress
from pipelines.runner.transform import Transform
from pipelines.source.unit import UnitSummary
from pipelines.storage import filesystem, hashing, parquet

HASHES = ("phash", "dhash")  # a crop hardly changes the one, a caption the other
# Photos of a plain surface are near-duplicates of one another, whatever was photographed.
LEAST_ENTROPY = 1.0  # bits
COUNTS = "met"  # name of the output with the counts
COLUMNS = {
    name: schema.FACTS[name]
    for name in ("id", "split", "status", "fine_0", "fine_1", "entropy", "width", "height")
}


@dataclasses.dataclass(frozen=True)
class PairSearchSummary:
    """The content of pairs/<hash>.done.json: the counts of a finished search.

    Attributes:
      counts: of photos and pairs.
      inputs: digest of the facts that were searched.
    """

    REMEDY: ClassVar[str] = Curation.REMEDY

    counts: PairCounts
    inputs: str


@dataclasses.dataclass
class FindPairs(Transform):
    """Writes the pairs of one hash and, last, their counts: lists of paths of facts -> None.

    Attributes:
      hash: name of the column that is searched.
      output: where everything is written.
      rows: total number of facts.
      inputs: digest of the facts, kept beside the counts.
    """

    hash: str
    output: Output
    rows: int
    inputs: str

    def expand(self, paths):
        """Returns a PCollection of one None, which is there once everything is written."""
        parts = partition.partition_count(self.rows)
        found = (
            paths
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.Map(read_photos, self.hash)  # [photos] PHOTO
            | "ByBytes"
            >> beam.FlatMap(by_bytes, parts).with_output_types(tuple[tuple[int, int], bytes])
            | "GroupBytes" >> beam.GroupByKey()  # (byte, group), [PHOTOs as bytes]
            | "Search" >> beam.FlatMapTuple(search).with_outputs(COUNTS, main="pairs")
        )
        return (
            found.pairs  # [pairs] PAIR
            | "ById" >> beam.FlatMap(by_id, parts)  # (partition, [pairs] PAIR)
            | "GroupIds" >> beam.GroupByKey()
            | "Write" >> beam.Map(write_part, self.hash, self.output, parts)
            | "Sum" >> beam.CombineGlobally(sum)
            | "Finish" >> beam.Map(finish, self, beam.pvalue.AsIter(found[COUNTS]))
        )


# ---- the steps ------------------------------------------------------------------------------


def read_photos(paths: Sequence[str], name: str) -> np.ndarray:
    """Returns [photos] PHOTO of the staged photos of at least LEAST_ENTROPY.

    `paths` are files of facts, `name` is the column of the hash.
    """
    facts = pd.concat([parquet.read(path, COLUMNS | {name: schema.FACTS[name]}) for path in paths])
    facts = facts[(facts["status"] == STAGED) & (facts["entropy"] >= LEAST_ENTROPY)]
    photos = np.empty(len(facts), PHOTO)
    photos["hash"] = multi_index_hashing.spread(facts[name].to_numpy(np.uint64))
    photos["fine_0"] = facts["fine_0"].to_numpy(np.uint64)
    photos["fine_1"] = facts["fine_1"].to_numpy(np.uint64)
    photos["id"] = duplicates.id_numbers(facts["id"])
    photos["shape"] = multi_index_hashing.shape(
        facts["width"].to_numpy(float), facts["height"].to_numpy(float)
    )
    photos["split"] = facts["split"].map(STAGED_SPLITS.index).to_numpy(np.uint8)
    return photos


def by_bytes(photos: np.ndarray, parts: int) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yields the photos once for each byte of the hash, grouped by the value of that byte.

    They are serialised as plain bytes: Beam would pickle arrays, which takes twice the memory.
    """
    groups = min(parts, 256)
    for index in range(multi_index_hashing.BYTES):
        group = multi_index_hashing.byte(photos["hash"], index).astype(np.int64) * groups >> 8
        for number, rows in _split(photos, group):
            yield (index, number), rows.tobytes()


def search(key: tuple[int, int], found: Iterable[bytes]) -> Iterator[Any]:
    """Yields [pairs] PAIR of near-duplicates that share a byte, and counts as another output."""
    counts = multi_index_hashing.SearchCounts()
    photos = np.frombuffer(b"".join(found), PHOTO)
    yield multi_index_hashing.search(photos, key[0], counts)
    # Each photo comes once for each byte: it is counted with the first.
    met = {
        "near": counts.near,
        "oversized": counts.oversized,
        "photos": 0 if key[0] else len(photos),
    }
    yield beam.pvalue.TaggedOutput(COUNTS, met)


def by_id(pairs: np.ndarray, parts: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the pairs grouped by partition, that of the id of their first photo."""
    part = (pairs["a"] >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32)
    yield from _split(pairs, part.astype(np.int64))


def write_part(
    keyed: tuple[int, Iterable[np.ndarray]], name: str, output: Output, parts: int
) -> int:
    """Writes one file of pairs, each once and in order, and returns how many there are.

    Args:
      keyed: number of the partition, and its [pairs] PAIR in parts.
      name: of the hash.
      output: where the file is written.
      parts: number of partitions.
    """
    part, found = keyed
    pairs = pd.DataFrame(np.unique(np.concatenate(list(found))))
    for column in ("a_split", "b_split"):
        pairs[column] = np.array(STAGED_SPLITS, object)[pairs[column]]
    path = output.pairs(f"{name}-{paths.shard_suffix(part, parts)}.parquet")
    parquet.write(path, pairs, schema.PAIRS)
    return len(pairs)


def finish(pairs: int, find_pairs: FindPairs, met: Iterable[dict[str, int]]) -> None:
    """Writes the done.json of a hash, which marks its search as finished.

    Args:
      pairs: number of pairs that were written.
      find_pairs: the transform that wrote them.
      met: counts of photos and of pairs, in parts.
    """
    total: collections.Counter[str] = collections.Counter()
    for some in met:
        total.update(some)
    counts = PairCounts(total["photos"], total["near"], pairs, total["oversized"])
    path = _done(find_pairs.output, find_pairs.hash)
    filesystem.write_record(path, PairSearchSummary(counts, find_pairs.inputs))


def _split(rows: np.ndarray, key: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    order = np.argsort(key, kind="stable")
    values, starts = np.unique(key[order], return_index=True)
    yield from zip(values.tolist(), np.split(rows[order], starts[1:]), strict=False)


# ---- for the command ------------------------------------------------------------------------


def find(output: Output, staged: list[UnitSummary], options: PipelineOptions) -> None:
    """Finds and writes all pairs within RADIUS, unless those of the same facts are there.

    Args:
      output: its facts are read, its pairs written.
      staged: the summaries of the units whose facts are searched.
      options: of the pipelines.
    """
    inputs = hashing.json_digest([[unit.unit, unit.facts_sha256] for unit in staged])
    missing = [name for name in HASHES if not _is_done(output, name, inputs)]
    if not missing:
        return
    rows = sum(unit.images for unit in staged)
    facts = partition.batches({output.facts(unit.unit): unit.images for unit in staged})
    filesystem.remove_temporaries(output.pairs("").rstrip("/"))
    for name in missing:
        filesystem.remove(_done(output, name))
        filesystem.remove(*filesystem.match(output.pairs(f"{name}-*.parquet")))
    parts = partition.partition_count(rows)
    count_written = functools.partial(_count_written, output, parts)
    with progress.bar("look-alikes", count_written, "files", len(HASHES) * parts, output.root):
        for name in missing:  # one by one: each search holds a copy of the photos for each byte
            _run(FindPairs(name, output, rows, inputs), facts, options)


def _count_written(output: Output, parts: int) -> progress.Counts:
    """Counts the files of pairs; of a finished search, also the parts without pairs or file."""
    names = filesystem.listing(output.pairs("").rstrip("/"))

    def written(name: str) -> int:
        if f"{name}.done.json" in names:
            return parts
        return sum(n.startswith(f"{name}-") and n.endswith(".parquet") for n in names)

    return {"files": sum(map(written, HASHES))}


def _run(find_pairs: FindPairs, facts: list[list[str]], options: PipelineOptions) -> None:
    engine.run(lambda pipeline: pipeline | beam.Create(facts) | find_pairs, options)


def _done(output: Output, name: str) -> str:
    return output.pairs(f"{name}.done.json")


def _read_done(output: Output, name: str) -> PairSearchSummary | None:
    path = _done(output, name)
    return filesystem.read_record(PairSearchSummary, path) if filesystem.exists(path) else None


def _is_done(output: Output, name: str, inputs: str) -> bool:
    done = _read_done(output, name)
    return done is not None and done.inputs == inputs


def counts(output: Output) -> dict[str, PairCounts]:
    """Returns the counts of the finished searches, by hash."""
    found = {name: _read_done(output, name) for name in HASHES}
    return {name: done.counts for name, done in found.items() if done}


def read(output: Output, radius: int) -> pd.DataFrame:
    """Returns all pairs within a radius, each once: columns a, b, a_split, b_split, same.

    `same` is true where a hash of the two photos and the finer hash are equal in every bit.
    """
    found = [parquet.empty(schema.PAIRS)]
    for path in filesystem.match(output.pairs("*.parquet")):
        pairs = parquet.read(path, schema.PAIRS)
        near = (pairs["distance"] <= radius) & (pairs["fine"] <= multi_index_hashing.FINE * radius)
        found.append(pairs[near])
    pairs = pd.concat(found, ignore_index=True)
    pairs["same"] = (pairs["distance"] == 0) & (pairs["fine"] == 0)
    pairs = pairs.sort_values(["a_split", "a", "b_split", "b", "same"], ignore_index=True)
    keys = ["a", "b", "a_split", "b_split"]
    return pairs.drop_duplicates(keys, keep="last")[[*keys, "same"]]
