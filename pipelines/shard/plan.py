"""Plans a version of the dataset from the decisions: its splits, shards and inputs."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipelines.common import paths, schema
from pipelines.common.errors import UserError
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.common.records.curation import Curation
from pipelines.common.schema import OUTPUT_SPLITS
from pipelines.shard.options import ShardOptions
from pipelines.source import discover, metadata_csv
from pipelines.source.staged_units import summaries
from pipelines.storage import filesystem, hashing, streams


@dataclasses.dataclass(frozen=True)
class ShardPlan:
    """A version of the dataset that is to be written.

    Attributes:
      output: has the staged files and decisions that it is made from.
      version: such as 1.0.0.
      shards: number of shards of each split that has images.
      images: number of kept images of each split; the written shards are checked against it.
      seed: of the order of images.
      inputs: digest of everything that determines the bytes, 64 hex digits.
      photos: how the photos were normalised, so that others can be scored in the same way.
      decisions: path and SHA-256 of each file of decisions.
      facts: path of each file of facts, and the number of its rows.
      attribution_csv: the CSV whose rows go into the records, or None.
      missing: names of units that could not be staged.
      kept_bytes: size of the kept records as staged; in a shard, with labels, they are larger.
    """

    output: Output
    version: str
    shards: dict[str, int]
    images: dict[str, int]
    seed: int
    inputs: str
    photos: NormalizationConfig
    decisions: list[tuple[str, str]]
    facts: dict[str, int] = dataclasses.field(default_factory=dict)
    attribution_csv: str | None = None
    missing: list[str] = dataclasses.field(default_factory=list)
    kept_bytes: int = 0

    @property
    def final(self) -> str:
        """The folder of the finished version."""
        return self.output.version(self.version)

    @property
    def incomplete(self) -> str:
        """The folder in which shards are written until all are there."""
        return f"{self.final}.incomplete"


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """A shard that was written.

    Attributes:
      split: train, validation or test.
      number: of the shard in its split, from 0.
      images: number of images in it.
      bytes: size of the file.
      channels: [8], as channel_stats.channels returns them.
    """

    split: str
    number: int
    images: int
    bytes: int
    channels: list[int]


# ---- the command ----------------------------------------------------------------------------


def attribution_csv(root: str, options: ShardOptions) -> str | None:
    """Returns the CSV whose rows go into the records, or None where none are asked for.

    Raises:
      UserError: they are asked for, and the source has no such CSV.
    """
    if not options.with_attribution:
        return None
    return discover.find_csv(root, "--with_attribution", metadata_csv.CREDIT, paths.ATTRIBUTION_CSV)


def make_plan(output: Output, options: ShardOptions, attributions: str | None = None) -> ShardPlan:
    """Plans a version of the dataset from the decisions.

    Args:
      output: its decisions are read.
      options: version, number or size of shards, and seed.
      attributions: the CSV whose rows go into the records, or None.

    Raises:
      UserError: nothing is curated, or nothing was kept.
    """
    if not filesystem.exists(output.decisions_done):
        raise UserError(f"{output.decisions_done}: nothing is curated; run gld2 curate first")
    done = filesystem.read_record(Curation, output.decisions_done)
    images = {name: done.kept[name] for name in OUTPUT_SPLITS if name in done.kept}
    if not images:
        raise UserError(
            f"{output.decisions}: no image was kept; see the column reason of its files"
        )
    kept_bytes = {name: done.funnel[f"bytes/{name}"] for name in images}
    size = options.shard_size_mb * 1e6
    shards = {name: options.num_shards or max(1, round(kept_bytes[name] / size)) for name in images}
    staged = [s for s in summaries(output) if s.split in schema.SPLITS]
    if not staged:
        raise UserError(f"{output.done('*')}: nothing is staged any more; run gld2 download again")
    facts = [[unit.unit, unit.facts_sha256] for unit in staged]
    made_from: list[Any] = [done.decisions_sha256, facts, shards, options.seed]
    if done.missing:
        made_from.append(done.missing)
    if attributions:
        made_from.append(streams.version(attributions))
    return ShardPlan(
        output=output,
        version=options.version,
        shards=shards,
        images=images,
        seed=options.seed,
        inputs=hashing.json_digest(made_from),
        photos=staged[0].parameters.normal,
        decisions=_decisions(output, done.decisions_sha256),
        facts={output.facts(unit.unit): unit.images for unit in staged},
        attribution_csv=attributions,
        missing=done.missing,
        kept_bytes=sum(kept_bytes.values()),
    )


def _decisions(output: Output, digests: list[str]) -> list[tuple[str, str]]:
    paths = filesystem.match(output.decision_files)
    if len(paths) != len(digests):
        raise UserError(
            f"{output.decisions}: expected {len(digests)} files of decisions, found {len(paths)}; "
            "run gld2 curate again"
        )
    return list(zip(paths, digests, strict=True))


def inputs_path(plan: ShardPlan) -> str:
    """Returns the path of the file that names the inputs of the unfinished shards beside it."""
    return paths.join(plan.incomplete, "inputs.json")
