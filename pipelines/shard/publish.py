"""What stands beside the shards, and the moment in which a dataset appears. No Beam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.common import paths
from pipelines.common.labels import parse_labels
from pipelines.shard import dataset_card, tfds_metadata
from pipelines.shard.channel_stats import mean_and_std
from pipelines.shard.plan import STATS, note
from pipelines.storage import filesystem

if TYPE_CHECKING:
    from pipelines.shard.plan import Plan


def publish(shards: list[dict[str, Any]], plan: Plan) -> None:
    """Checks kept = sharded, writes what stands beside the shards, then gives the folder its name.

    Args:
      shards: what was written: split, number, images, bytes, channels of each.
      plan: what was to be written.
    """
    if filesystem.exists(paths.join(plan.final, STATS)):
        return  # this step ran before, on a worker that was not heard of again
    folder = plan.incomplete
    splits = {name: _split(name, shards, plan) for name in plan.shards}
    labels = filesystem.read(plan.output.labels)
    classes = parse_labels(labels.decode(), plan.output.labels)
    stats = {
        "splits": splits,
        "classes": len(classes),
        **mean_and_std(shards),
        "photos": plan.photos,
        "attribution": plan.attribution_csv is not None,
        "version": plan.version,
        "seed": plan.seed,
        "inputs": plan.inputs,
    }
    filesystem.write(paths.join(folder, "labels.csv"), labels)
    tfds_metadata.write_metadata(folder, stats, classes)
    dataset_card.write(folder, stats, filesystem.read_json(plan.output.decisions_done))
    filesystem.remove(note(plan))
    filesystem.write_json(paths.join(folder, STATS), stats)
    filesystem.rename_folder(folder, plan.final, last=STATS)


def _split(name: str, shards: Sequence[dict[str, Any]], plan: Plan) -> dict[str, Any]:
    """Counts of a split, whose shards without any image are written here, empty."""
    number = plan.shards[name]
    mine = {shard["number"]: shard for shard in shards if shard["split"] == name}
    for missing in sorted(set(range(number)) - set(mine)):
        filesystem.write(paths.join(plan.incomplete, paths.shard(name, missing, number)), b"")
    lengths = [mine[n]["images"] if n in mine else 0 for n in range(number)]
    if sum(lengths) != plan.images[name]:
        raise AssertionError(f"{name}: {plan.images[name]} images kept, {sum(lengths)} sharded")
    return {
        "images": sum(lengths),
        "shards": number,
        "bytes": sum(shard["bytes"] for shard in mine.values()),
        "shard_lengths": lengths,
    }
