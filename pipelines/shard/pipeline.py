"""Pipeline 3: gathers the kept images into shards. Pixels are copied once and never shuffled."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
import pandas as pd
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths, schema
from pipelines.common.errors import UserError
from pipelines.common.paths import Output, join
from pipelines.common.records.stats import STATS, Stats
from pipelines.common.schema import STAGED
from pipelines.runner import engine, partition, progress
from pipelines.runner.transform import Transform
from pipelines.shard import channel_stats, publish
from pipelines.shard.options import ShardOptions
from pipelines.shard.plan import ShardPlan, WrittenShard, inputs_path, make_plan
from pipelines.source import metadata_csv
from pipelines.storage import filesystem, hashing, parquet, tf_example, tfrecord
from pipelines.storage.ranged_reads import gather, locations

FACTS = {name: schema.FACTS[name] for name in ("id", "split", "unit", "offset", "length", "status")}
DECISIONS = {
    name: schema.DECISIONS[name] for name in ("id", "split", "keep", "label", "landmark_id")
}


@dataclasses.dataclass
class Shard(Transform):
    """Writes and publishes the dataset: PBegin -> a PCollection of one None.

    Attributes:
      plan: the version that is written.
    """

    plan: ShardPlan

    def expand(self, begin):
        """Returns a PCollection of one None, which is there once the dataset is published."""
        plan = self.plan
        parts = partition.partition_count(sum(plan.images.values()))
        by_id = partition.by_hex("id", parts)
        credits = [plan.attribution_csv] if plan.attribution_csv else []
        inputs = {
            "facts": begin
            | "FactsFiles" >> beam.Create(partition.batches(plan.facts))
            | "SpreadFacts" >> beam.Reshuffle()
            | "Facts" >> beam.Map(read_staged),
            "kept": begin
            | "DecisionsFiles" >> beam.Create(plan.decisions)
            | "SpreadDecisions" >> beam.Reshuffle()
            | "Decisions" >> beam.MapTuple(read_kept),
            "credits": begin
            | "AttributionCsv" >> beam.Create(credits)
            | "Attributions" >> beam.FlatMap(metadata_csv.attributions),
        }
        keyed = {
            name: table | f"Split_{name}" >> beam.FlatMap(partition.split, by_id)
            for name, table in inputs.items()
        }
        return (
            keyed
            | "GroupById" >> beam.CoGroupByKey()  # (partition, {name: [table]})
            | "Place" >> beam.MapTuple(lambda _, found: place(**found))  # table
            | "ByShard" >> beam.FlatMap(by_shard, plan)  # ((split, shard), table)
            | "Group" >> beam.GroupByKey()
            | "Write" >> beam.Map(write_shard, plan)  # WrittenShard
            | "Collect" >> beam.combiners.ToList()
            | "Publish" >> beam.Map(publish.publish, plan)
        )


# ---- the steps ------------------------------------------------------------------------------


def read_staged(paths: Sequence[str]) -> pd.DataFrame:
    """Returns the facts of the staged images of some units as one table."""
    facts = pd.concat([parquet.read(path, FACTS) for path in paths])
    return facts[facts["status"] == STAGED]


def read_kept(path: str, digest: str) -> pd.DataFrame:
    """Returns the kept rows of a file of decisions, whose SHA-256 is checked."""
    decisions = parquet.read(path, DECISIONS, digest)
    return decisions[decisions["keep"]]


def place(
    facts: Iterable[pd.DataFrame], kept: Iterable[pd.DataFrame], credits: Iterable[pd.DataFrame]
) -> pd.DataFrame:
    """Joins kept images with their locations in staged files, and with their attributions.

    Where an id was staged twice, the first image is taken.

    Args:
      facts: tables of staged images.
      kept: tables of decisions that keep an image.
      credits: tables of attributions; none where none are asked for.

    Raises:
      UserError: an image that is kept is not staged.
    """
    found = pd.concat([parquet.empty(FACTS), *facts]).sort_values(["unit", "offset"])
    found = found.rename(columns={"split": "source"}).drop_duplicates(["source", "id"])
    wanted = pd.concat([parquet.empty(DECISIONS), *kept])
    wanted["source"] = wanted["split"].where(wanted["split"] != schema.VALIDATION, "train")
    placed = wanted.merge(found, on=["source", "id"], how="left")
    lost = placed.loc[placed["offset"].isna(), "id"]
    if len(lost):
        raise UserError(
            f"decisions keep {len(lost)} images that are not staged, {lost.min()} first; "
            "run gld2 curate again"
        )
    thanks = pd.concat([parquet.empty(metadata_csv.CREDIT), *credits]).drop_duplicates("id")
    return placed.merge(thanks, on="id", how="left") if len(thanks) else placed


def by_shard(images: pd.DataFrame, plan: ShardPlan):
    """Yields ((split, shard), table) of the shards of these images, by a hash of their ids."""
    if images.empty:
        return
    # Hashed again: validation was chosen by the first hash, and would lie in few shards.
    order = pd.util.hash_array(hashing.order_key(images["id"], plan.seed))
    shards = images["split"].map(plan.shards).to_numpy(np.uint64)
    # The hash's upper half times the number of shards, so that nothing overflows.
    number = ((order >> np.uint64(32)) * shards) >> np.uint64(32)
    images = images.assign(order=order, number=number.astype(np.int64))
    for (name, shard), rows in images.groupby(["split", "number"]):
        yield (str(name), int(shard)), rows


def write_shard(
    keyed: tuple[tuple[str, int], Iterable[pd.DataFrame]], plan: ShardPlan
) -> WrittenShard:
    """Writes one shard in the order of the hash, and returns its counts.

    One shard is held in memory. A shard that an interrupted run finished is kept.
    """
    (name, number), found = keyed
    images = pd.concat(list(found)).sort_values(["order", "id"], ignore_index=True)
    path = join(plan.incomplete, paths.shard(name, number, plan.shards[name]))
    if not filesystem.exists(path):
        with filesystem.atomic(path) as file:
            for record in _records(images, plan.output):
                file.write(tfrecord.frame(record))
    engine.count("sharded", len(images))
    size, channels = filesystem.size(path), channel_stats.channels(path)
    return WrittenShard(name, number, len(images), size, channels)


def _records(images: pd.DataFrame, output: Output) -> Iterator[bytes]:
    columns = images[["unit", "offset", "length"]].itertuples(index=False)
    staged = gather(locations(columns), output.staged)
    for index, labels in enumerate(_label_examples(images)):
        # Concatenated Examples are merged when parsed: the photo is not decoded.
        record, staged[index] = staged[index] + labels, b""
        yield record


def _label_examples(images: pd.DataFrame) -> Iterator[bytes]:
    """Yields the label, landmark and attribution of each image as an Example; b'' for test."""
    names = {"label": schema.LABEL, "landmark_id": schema.LANDMARK_ID} | schema.ATTRIBUTION
    names = {column: key for column, key in names.items() if column in images}
    for row in images[list(names)].itertuples(index=False, name=None):
        found = {k: v for k, v in zip(names.values(), row, strict=True) if pd.notna(v)}
        texts = {k: v.encode() if isinstance(v, str) else int(v) for k, v in found.items()}
        yield tf_example.encode(texts) if texts else b""


def shard(
    output: Output,
    options: ShardOptions,
    attributions: str | None,
    beam_options: PipelineOptions,
    allow_incomplete: bool = False,
) -> Stats:
    """Writes a version of the dataset unless it is there; prints and returns its stats.

    A version that lacks units which have been staged since is written again.

    Args:
      output: has the staged files and decisions; the dataset is written there.
      options: version, number or size of shards, and seed.
      attributions: the CSV whose rows go into the records, or None.
      beam_options: of the pipeline.
      allow_incomplete: whether the decisions may lack units that could not be staged.

    Raises:
      UserError: nothing is curated, units are missing, or the version exists and was made from
        something else.
    """
    plan = make_plan(output, options, attributions)
    if plan.missing and not allow_incomplete:
        raise UserError(
            f"{output.decisions_done}: {len(plan.missing)} units are missing, {plan.missing[0]} "
            "first; run gld2 download and gld2 curate again, or give --allow_incomplete"
        )
    stats_path = join(plan.final, STATS)
    if not _is_there(plan, stats_path):
        _prepare_folder(plan)
        count_written = functools.partial(_count_written, plan)
        with progress.bar("shard", count_written, progress.BYTES, plan.kept_bytes, output.root):
            engine.run(lambda p: p | Shard(plan), beam_options)
    stats = filesystem.read_record(Stats, stats_path)
    for name, counts in stats.splits.items():
        print(
            f"shard {name}: {plan.images[name]} images kept = {counts.images} sharded, "
            f"{counts.bytes / 1e6:.1f} MB in {counts.shards} shards"
        )
    print(f"shard: {plan.final}")
    return stats


def _is_there(plan: ShardPlan, stats_path: str) -> bool:
    """Returns whether the version is written; removes one that lacked units staged since.

    Raises:
      UserError: it was made from something else.
    """
    if not filesystem.exists(stats_path):
        return False
    there = filesystem.read_record(Stats, stats_path)
    if there.inputs == plan.inputs:
        return True
    if set(plan.missing) < set(there.missing):
        print(f"shard: {plan.final} lacked units that are staged now; writing it again")
        filesystem.remove(plan.final)
        return False
    raise UserError(
        f"{plan.final}: made from other decisions or flags; give another --version, or remove it"
    )


def _count_written(plan: ShardPlan) -> progress.Counts:
    """Returns the size of all shards in bytes, unfinished ones included."""
    files = filesystem.listing(plan.final)  # an object store gets its files one by one, STATS last
    if STATS not in files:
        files = filesystem.listing(plan.incomplete)
    return {progress.BYTES: sum(files[name].size for name in files if ".tfrecord-" in name)}


def _prepare_folder(plan: ShardPlan) -> None:
    """Keeps finished shards of an earlier run of the same plan; removes those of another plan.

    In an object store, shards under the final name without stats.json are removed too: they are
    of a run that was killed while it renamed them one by one.
    """
    made_from = inputs_path(plan)
    if not filesystem.exists(made_from) or filesystem.read_record(str, made_from) != plan.inputs:
        filesystem.remove(plan.incomplete, plan.final)
        filesystem.write_record(made_from, plan.inputs)
    filesystem.remove_temporaries(plan.incomplete)
