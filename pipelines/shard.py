"""Pipeline 3: what was kept is gathered into shards. Pixels are copied once and never shuffled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import (
    download,
    engine,
    example,
    files,
    layout,
    options,
    progress,
    repartition,
    schema,
    split,
    tables,
    tfrecord,
)
from pipelines.gather import Place, gather
from pipelines.layout import Output
from pipelines.schema import OUTPUT_SPLITS, STAGED, UserError

EXAMPLES = """\
  gld2 shard --output OUT
  gld2 shard --output gs://bucket/gld2 --version 1.1.0 --shard_size_mb 100
"""

FACTS = {name: schema.FACTS[name] for name in ("id", "split", "unit", "offset", "length", "status")}
DECISIONS = {
    name: schema.DECISIONS[name] for name in ("id", "split", "keep", "label", "landmark_id")
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """The dataset that is to be.

    Attributes:
      output: whose staged files and decisions it is made from.
      version: such as 1.0.0.
      shards: of each split that has images.
      images: kept, of each split; what is written is checked against it.
      seed: of the order.
      inputs: digest of all that decides the bytes.
      photos: how they were normalised, for whoever scores others in the same way.
    """

    output: Output
    version: str
    shards: dict[str, int]
    images: dict[str, int]
    seed: int
    inputs: str
    photos: dict[str, int]

    @property
    def final(self) -> str:
        return self.output.version(self.version)

    @property
    def incomplete(self) -> str:
        return f"{self.final}.incomplete"


@dataclasses.dataclass
class Shard(beam.PTransform):
    """Nothing -> the dataset, published whole.

    Attributes:
      plan: what is written.
      progress_folder: where a progress bar looks, if one does.
    """

    plan: Plan
    progress_folder: str | None = None

    def __post_init__(self):
        super().__init__()

    def expand(self, begin):
        plan = self.plan
        parts = repartition.partitions(sum(plan.images.values()))
        by_id = repartition.by_hex("id", parts)
        inputs = {
            "facts": begin | "Facts" >> ReadTables(plan.output.facts("*"), FACTS, _staged),
            "kept": begin
            | "Decisions" >> ReadTables(decision_files(plan.output), DECISIONS, _kept),
        }
        keyed = {
            name: table | f"Split_{name}" >> beam.FlatMap(repartition.split, by_id)
            for name, table in inputs.items()
        }
        return (
            keyed
            | "GroupById" >> beam.CoGroupByKey()  # (partition, {name: [table]})
            | "Place" >> beam.MapTuple(lambda _, found: place(**found))  # table
            | "ByShard" >> beam.FlatMap(by_shard, plan)  # ((split, shard), table)
            | "Group" >> beam.GroupByKey()
            | "Write" >> beam.Map(write_shard, plan, self.progress_folder)  # stats of a shard
            | "Collect" >> beam.combiners.ToList()
            | "Publish" >> beam.Map(publish, plan)
        )


@dataclasses.dataclass
class ReadTables(beam.PTransform):
    """Nothing -> the tables that fit a pattern, some of their columns and rows."""

    pattern: str
    columns: dict[str, str]
    rows: Any  # table -> [rows] bool

    def __post_init__(self):
        super().__init__()

    def expand(self, begin):
        def read(path: str) -> pd.DataFrame:
            table = tables.read(path, self.columns)
            return table[self.rows(table)]

        paths = files.match(self.pattern)
        return begin | beam.Create(paths) | beam.Reshuffle() | beam.Map(read)


def _staged(facts: pd.DataFrame) -> pd.Series:
    return facts["status"] == STAGED


def _kept(decisions: pd.DataFrame) -> pd.Series:
    return decisions["keep"]


def decision_files(output: Output) -> str:
    return files.join(output.decisions, "decisions-*.parquet")


# ---- the steps ------------------------------------------------------------------------------


def place(facts: Iterable[pd.DataFrame], kept: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Joins kept images with where they lie; of an id staged twice, the first is the image."""
    found = pd.concat([tables.empty(FACTS), *facts]).sort_values(["unit", "offset"])
    found = found.rename(columns={"split": "source"}).drop_duplicates(["source", "id"])
    wanted = pd.concat([tables.empty(DECISIONS), *kept])
    wanted["source"] = wanted["split"].where(wanted["split"] != schema.VALIDATION, "train")
    placed = wanted.merge(found, on=["source", "id"], how="left")
    lost = placed.loc[placed["offset"].isna(), "id"]
    if len(lost):
        raise UserError(
            f"decisions keep {len(lost)} images that are not staged, {lost.min()} first; "
            "run gld2 curate again"
        )
    return placed


def by_shard(images: pd.DataFrame, plan: Plan):
    """((split, shard), table) for the shards that these images go to, by a hash of their ids."""
    if images.empty:
        return
    order = split.order_key(images["id"], plan.seed)
    shards = images["split"].map(plan.shards).to_numpy(np.uint64)
    # The hash's upper half times the number of shards, so that nothing overflows.
    number = ((order >> np.uint64(32)) * shards) >> np.uint64(32)
    images = images.assign(order=order, number=number.astype(np.int64))
    for (name, shard), rows in images.groupby(["split", "number"]):
        yield (str(name), int(shard)), rows


def write_shard(
    keyed: tuple[tuple[str, int], Iterable[pd.DataFrame]],
    plan: Plan,
    progress_folder: str | None = None,
) -> dict[str, Any]:
    """Writes one shard in the order of the hash; returns its counts.

    It holds one shard in memory. A shard that an interrupted run finished is kept.
    """
    (name, number), found = keyed
    images = pd.concat(list(found)).sort_values(["order", "id"], ignore_index=True)
    path = files.join(plan.incomplete, layout.shard(name, number, plan.shards[name]))
    if not files.exists(path):
        with files.atomic(path) as file:
            for record in _records(images, plan.output):
                file.write(tfrecord.frame(record))
    engine.count("sharded", len(images))
    progress.add(progress_folder, images=len(images), shards=1)
    return {"split": name, "number": number, "images": len(images), "bytes": files.size(path)}


def _records(images: pd.DataFrame, output: Output) -> Iterable[bytes]:
    columns = images[["unit", "offset", "length"]].itertuples(index=False)
    places = [Place(str(u), int(o), int(n), index) for index, (u, o, n) in enumerate(columns)]
    staged = gather(places, output.staged)
    for index, (label, landmark_id) in enumerate(
        images[["label", "landmark_id"]].itertuples(index=False)
    ):
        record, staged[index] = staged[index], b""
        if pd.notna(label):  # an Example goes on where another ends: the photo is not decoded
            record += example.encode(
                {schema.LABEL: int(label), schema.LANDMARK_ID: int(landmark_id)}
            )
        yield record


def publish(shards: list[dict], plan: Plan) -> None:
    """Checks kept = sharded, fills empty shards, then gives the folder its name."""
    if files.exists(files.join(plan.final, "stats.json")):
        return  # this step ran before, on a worker that was not heard of again
    splits: dict[str, dict[str, int]] = {}
    for name, number in plan.shards.items():
        mine = [shard for shard in shards if shard["split"] == name]
        for missing in sorted(set(range(number)) - {shard["number"] for shard in mine}):
            files.write(files.join(plan.incomplete, layout.shard(name, missing, number)), b"")
        images = sum(shard["images"] for shard in mine)
        if images != plan.images[name]:
            raise AssertionError(f"{name}: {plan.images[name]} images kept, {images} sharded")
        size = sum(shard["bytes"] for shard in mine)
        splits[name] = {"images": images, "shards": number, "bytes": size}
    files.write(files.join(plan.incomplete, "labels.csv"), files.read(plan.output.labels))
    stats = {
        "splits": splits,
        "photos": plan.photos,
        "version": plan.version,
        "seed": plan.seed,
        "inputs": plan.inputs,
    }
    files.remove(_note(plan))
    files.write_json(files.join(plan.incomplete, "stats.json"), stats)
    files.rename_folder(plan.incomplete, plan.final, last="stats.json")


# ---- the command ----------------------------------------------------------------------------


def shard(
    output: Output, version: str, shard_size_mb: int, seed: int, beam_options: PipelineOptions
) -> dict[str, Any]:
    """Writes a version of the dataset unless it is there; prints and returns its stats.

    Raises:
      UserError: nothing is curated, or the version exists and was made from
        something else.
    """
    plan = _plan(output, version, shard_size_mb, seed)
    stats_path = files.join(plan.final, "stats.json")
    if files.exists(stats_path):
        if files.read_json(stats_path)["inputs"] != plan.inputs:
            raise UserError(
                f"{plan.final}: made from other decisions or flags; "
                "give another --version, or remove it"
            )
    else:
        _prepare_folder(plan)
        total = sum(plan.images.values())
        with progress.bar("shard", output.progress("shard"), "images", total) as folder:
            engine.run(lambda p: p | Shard(plan, folder), beam_options)
    stats = files.read_json(stats_path)
    for name, counts in stats["splits"].items():
        print(
            f"shard {name}: {plan.images[name]} images kept = {counts['images']} sharded, "
            f"{counts['bytes'] / 1e6:.1f} MB in {counts['shards']} shards"
        )
    print(f"shard: {plan.final}")
    return stats


def _plan(output: Output, version: str, shard_size_mb: int, seed: int) -> Plan:
    if not files.exists(output.decisions_done):
        raise UserError(f"{output.decisions_done}: nothing is curated; run gld2 curate first")
    done = files.read_json(output.decisions_done)
    funnel = done["funnel"]
    images = {n: funnel[f"kept/{n}"] for n in OUTPUT_SPLITS if f"kept/{n}" in funnel}
    if not images:
        raise UserError(f"{output.decisions}: no image was kept; see its reasons")
    size = shard_size_mb * 1e6
    shards = {name: max(1, round(funnel[f"bytes/{name}"] / size)) for name in images}
    staged = [s for s in download.summaries(output) if s["split"] in schema.SPLITS]
    facts = [[summary["unit"], summary["facts_sha256"]] for summary in staged]
    made_from = [done["decisions_sha256"], facts, shards, seed]
    inputs = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    photos = staged[0]["parameters"]["normal"]
    return Plan(output, version, shards, images, seed, inputs, photos)


def _prepare_folder(plan: Plan) -> None:
    """Shards that a run of the same plan finished are used again; of another, removed."""
    note = _note(plan)
    if not files.exists(note) or files.read_json(note) != plan.inputs:
        files.remove(plan.incomplete)
        files.write_json(note, plan.inputs)
    files.remove_temporaries(plan.incomplete)


def _note(plan: Plan) -> str:
    return files.join(plan.incomplete, "inputs.json")


GROUPS = (
    options.OptionalSourceOptions,  # the three stages take the same flags
    options.SplitsOptions,
    options.OutputOptions,
    options.ShardOptions,
    options.SeedOptions,
)


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = options.parse(
        "shard",
        "Gather the kept photos into TFRecord shards with DELF's keys, in an order that "
        "depends on the seed alone.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    shard(Output(args.output), args.version, args.shard_size_mb, args.seed, beam_options)
    return 0
