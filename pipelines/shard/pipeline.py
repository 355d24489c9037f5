"""Pipeline 3: what was kept is gathered into shards. Pixels are copied once and never shuffled."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pandas as pd
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths, schema
from pipelines.common.paths import Output
from pipelines.common.schema import OUTPUT_SPLITS, STAGED, UserError
from pipelines.curate import validation_split
from pipelines.download.pipeline import summaries
from pipelines.runner import engine, partition, progress
from pipelines.runner.options import (
    OptionalSourceOptions,
    OutputOptions,
    SeedOptions,
    ShardOptions,
    SplitsOptions,
    parse,
)
from pipelines.shard import publish
from pipelines.source import discover, metadata_csv
from pipelines.storage import filesystem, parquet, streams, tf_example, tfrecord
from pipelines.storage.ranged_reads import Place, gather

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
      decisions: files and their digests.
      attribution_csv: whose rows go into the records, or None.
    """

    output: Output
    version: str
    shards: dict[str, int]
    images: dict[str, int]
    seed: int
    inputs: str
    photos: dict[str, int]
    decisions: list[tuple[str, str]]
    attribution_csv: str | None = None

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
        parts = partition.partitions(sum(plan.images.values()))
        by_id = partition.by_hex("id", parts)
        facts = partition.batches(
            {plan.output.facts(s["unit"]): s["images"] for s in summaries(plan.output)}
        )
        credits = [plan.attribution_csv] if plan.attribution_csv else []
        inputs = {
            "facts": begin
            | "FactsFiles" >> beam.Create(facts)
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
            | "Write" >> beam.Map(write_shard, plan, self.progress_folder)  # stats of a shard
            | "Collect" >> beam.combiners.ToList()
            | "Publish" >> beam.Map(publish.publish, plan)
        )


def decision_files(output: Output) -> str:
    return filesystem.join(output.decisions, "decisions-*.parquet")


# ---- the steps ------------------------------------------------------------------------------


def read_staged(paths: Sequence[str]) -> pd.DataFrame:
    """One table of some units' staged images."""
    facts = pd.concat([parquet.read(path, FACTS) for path in paths])
    return facts[facts["status"] == STAGED]


def read_kept(path: str, digest: str) -> pd.DataFrame:
    decisions = parquet.read(path, DECISIONS, digest)
    return decisions[decisions["keep"]]


def place(
    facts: Iterable[pd.DataFrame], kept: Iterable[pd.DataFrame], credits: Iterable[pd.DataFrame]
) -> pd.DataFrame:
    """Joins kept images with where they lie, and with whom to thank for them.

    Of an id staged twice, the first is the image.
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


def by_shard(images: pd.DataFrame, plan: Plan):
    """((split, shard), table) for the shards that these images go to, by a hash of their ids."""
    if images.empty:
        return
    # Hashed once more: by the hash as it is, validation was chosen, and it would lie in few shards.
    order = pd.util.hash_array(validation_split.order_key(images["id"], plan.seed))
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
    path = filesystem.join(plan.incomplete, paths.shard(name, number, plan.shards[name]))
    if not filesystem.exists(path):
        with filesystem.atomic(path) as file:
            for record in _records(images, plan.output):
                file.write(tfrecord.frame(record))
    engine.count("sharded", len(images))
    progress.add(progress_folder, images=len(images), shards=1)
    written = {
        "split": name,
        "number": number,
        "images": len(images),
        "bytes": filesystem.size(path),
    }
    return written | {"channels": publish.channels(path)}


def _records(images: pd.DataFrame, output: Output) -> Iterator[bytes]:
    columns = images[["unit", "offset", "length"]].itertuples(index=False)
    places = [Place(str(u), int(o), int(n), index) for index, (u, o, n) in enumerate(columns)]
    staged = gather(places, output.staged)
    for index, more in enumerate(_more(images)):
        # An Example goes on where another ends: the photo is not decoded.
        record, staged[index] = staged[index] + more, b""
        yield record


def _more(images: pd.DataFrame) -> Iterator[bytes]:
    """What each record says beside its photo: label, landmark, attribution; nothing on test."""
    names = {"label": schema.LABEL, "landmark_id": schema.LANDMARK_ID} | schema.ATTRIBUTION
    names = {column: key for column, key in names.items() if column in images}
    for row in images[list(names)].itertuples(index=False, name=None):
        found = {k: v for k, v in zip(names.values(), row, strict=True) if pd.notna(v)}
        texts = {k: v.encode() if isinstance(v, str) else int(v) for k, v in found.items()}
        yield tf_example.encode(texts) if texts else b""


# ---- the command ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Parameters:
    """The shape of the dataset.

    Attributes:
      version: such as 1.0.0.
      shard_size_mb: about how large a shard is.
      num_shards: of each split, whatever their size; None goes by size.
      seed: of the order.
      attribution_csv: whose rows go into the records, or None.
    """

    version: str
    shard_size_mb: int
    num_shards: int | None
    seed: int
    attribution_csv: str | None = None


def shard(output: Output, parameters: Parameters, beam_options: PipelineOptions) -> dict[str, Any]:
    """Writes a version of the dataset unless it is there; prints and returns its stats.

    Raises:
      UserError: nothing is curated, or the version exists and was made from
        something else.
    """
    plan = _plan(output, parameters)
    stats_path = filesystem.join(plan.final, "stats.json")
    if filesystem.exists(stats_path):
        if filesystem.read_json(stats_path)["inputs"] != plan.inputs:
            raise UserError(
                f"{plan.final}: made from other decisions or flags; "
                "give another --version, or remove it"
            )
    else:
        _prepare_folder(plan)
        total = sum(plan.images.values())
        with progress.bar("shard", output.progress("shard"), "images", total) as folder:
            engine.run(lambda p: p | Shard(plan, folder), beam_options)
    stats = filesystem.read_json(stats_path)
    for name, counts in stats["splits"].items():
        print(
            f"shard {name}: {plan.images[name]} images kept = {counts['images']} sharded, "
            f"{counts['bytes'] / 1e6:.1f} MB in {counts['shards']} shards"
        )
    print(f"shard: {plan.final}")
    return stats


def _plan(output: Output, parameters: Parameters) -> Plan:
    if not filesystem.exists(output.decisions_done):
        raise UserError(f"{output.decisions_done}: nothing is curated; run gld2 curate first")
    done = filesystem.read_json(output.decisions_done)
    funnel = done["funnel"]
    images = {n: funnel[f"kept/{n}"] for n in OUTPUT_SPLITS if f"kept/{n}" in funnel}
    if not images:
        raise UserError(f"{output.decisions}: no image was kept; see its reasons")
    size = parameters.shard_size_mb * 1e6
    shards = {
        name: parameters.num_shards or max(1, round(funnel[f"bytes/{name}"] / size))
        for name in images
    }
    staged = [s for s in summaries(output) if s["split"] in schema.SPLITS]
    facts = [[summary["unit"], summary["facts_sha256"]] for summary in staged]
    made_from: list[Any] = [done["decisions_sha256"], facts, shards, parameters.seed]
    if parameters.attribution_csv:
        made_from.append(streams.version(parameters.attribution_csv))
    inputs = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    photos = staged[0]["parameters"]["normal"]
    return Plan(
        output,
        parameters.version,
        shards,
        images,
        parameters.seed,
        inputs,
        photos,
        _decisions(output, done["decisions_sha256"]),
        parameters.attribution_csv,
    )


def _decisions(output: Output, digests: list[str]) -> list[tuple[str, str]]:
    paths = filesystem.match(decision_files(output))
    if len(paths) != len(digests):
        raise UserError(
            f"{output.decisions}: expected {len(digests)} files of decisions, found {len(paths)}; "
            "run gld2 curate again"
        )
    return list(zip(paths, digests, strict=True))


def _prepare_folder(plan: Plan) -> None:
    """Shards that a run of the same plan finished are used again; of another, removed.

    So are those that an object store has under the final name without stats.json: of a run that
    was killed while it gave shard after shard its name.
    """
    note = publish.note(plan)
    if not filesystem.exists(note) or filesystem.read_json(note) != plan.inputs:
        filesystem.remove(plan.incomplete, plan.final)
        filesystem.write_json(note, plan.inputs)
    filesystem.remove_temporaries(plan.incomplete)


GROUPS = (
    OptionalSourceOptions,  # the three stages take the same flags
    SplitsOptions,
    OutputOptions,
    ShardOptions,
    SeedOptions,
)


def parameters(args: argparse.Namespace) -> Parameters:
    """Raises UserError where attributions are asked for and there are none."""
    csv = None
    if args.with_attribution:
        if not args.source:
            raise UserError("--with_attribution: needs --source, for its attribution CSV")
        csv = discover.attribution_csv(args.source, "--with_attribution", metadata_csv.CREDIT)
    return Parameters(args.version, args.shard_size_mb, args.num_shards, args.seed, csv)


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = parse(
        "shard",
        "Gather the kept photos into TFRecord shards with DELF's keys, in an order that "
        "depends on the seed alone.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    shard(Output(args.output), parameters(args), beam_options)
    return 0
