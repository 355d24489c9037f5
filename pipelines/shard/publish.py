"""Publishes a dataset: writes the files beside the shards and renames the folder. No Beam."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common import paths
from pipelines.common.errors import unequal
from pipelines.common.labels import parse_labels
from pipelines.common.records.curation import Curation
from pipelines.common.records.stats import STATS, Split, Stats
from pipelines.shard import dataset_card, tfds_metadata
from pipelines.shard.channel_stats import mean_and_std
from pipelines.shard.plan import ShardPlan, WrittenShard, inputs_path
from pipelines.storage import filesystem


def publish(shards: list[WrittenShard], plan: ShardPlan) -> None:
    """Checks the number of images, writes the files beside the shards, then renames the folder.

    Args:
      shards: that were written.
      plan: the version that was to be written.

    Raises:
      UserError: the shards do not hold as many images as were kept.
    """
    if filesystem.exists(paths.join(plan.final, STATS)):
        return  # this step ran before, on a worker that was lost after it
    folder = plan.incomplete
    splits = {name: _split(name, shards, plan) for name in plan.shards}
    labels = filesystem.read(plan.output.labels)
    classes = parse_labels(labels.decode("utf-8", "replace"), plan.output.labels)
    channels = mean_and_std(shards)
    stats = Stats(
        photos=plan.photos,
        splits=splits,
        version=plan.version,
        seed=plan.seed,
        inputs=plan.inputs,
        classes=len(classes),
        mean=channels.mean,
        std=channels.std,
        channels_of=channels.photos,
        attribution=plan.attribution_csv is not None,
        missing=plan.missing,
    )
    filesystem.write(paths.join(folder, "labels.csv"), labels)
    tfds_metadata.write_metadata(folder, stats, classes)
    done = filesystem.read_record(Curation, plan.output.decisions_done)
    dataset_card.write(folder, stats, done)
    filesystem.remove(inputs_path(plan))
    filesystem.write_record(paths.join(folder, STATS), stats)
    filesystem.rename_folder(folder, plan.final, last=STATS)


def _split(name: str, shards: Sequence[WrittenShard], plan: ShardPlan) -> Split:
    """Returns the counts of a split; writes its shards without images as empty files."""
    number = plan.shards[name]
    mine = {shard.number: shard for shard in shards if shard.split == name}
    for missing in sorted(set(range(number)) - set(mine)):
        filesystem.write(paths.join(plan.incomplete, paths.shard(name, missing, number)), b"")
    lengths = [mine[n].images if n in mine else 0 for n in range(number)]
    if sum(lengths) != plan.images[name]:
        raise unequal(f"{name}: {plan.images[name]} images kept, {sum(lengths)} sharded")
    return Split(
        images=sum(lengths),
        shards=number,
        bytes=sum(shard.bytes for shard in mine.values()),
        shard_lengths=lengths,
    )
