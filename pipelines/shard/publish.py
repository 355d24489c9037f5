"""What stands beside the shards, and the moment in which a dataset appears. No Beam."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipelines.common import paths, schema
from pipelines.shard import dataset_card, tfds_metadata
from pipelines.storage import filesystem, tf_example, tfrecord

if TYPE_CHECKING:
    from pipelines.shard.pipeline import Plan

POWERS = np.arange(256, dtype=np.int64)[:, None] ** [1, 2]  # of a channel's levels
SAMPLE = 32  # photos of each shard that the channels' mean and deviation are from
STATS = "stats.json"


def channels(path: str) -> list[int]:
    """Pixels and photos of a shard's first photos, sums of each channel, sums of its squares.

    Their order is that of a hash, so they are a sample. Sums of integers do not hang on the
    order in which shards are added up.

    Returns:
      [8]: photos, pixels, three sums, three sums of squares.
    """
    total = np.zeros(8, np.int64)
    with filesystem.open_read(path) as file:
        for record in itertools.islice(tfrecord.read(file), SAMPLE):
            total += _channels(tf_example.decode(record)[schema.ENCODED])  # type: ignore[arg-type]
    return total.tolist()


def _channels(jpeg: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(jpeg))
    levels = np.array(image.histogram(), np.int64).reshape(3, 256)  # pixels at each level
    return np.concatenate([[1, image.width * image.height], *(levels @ POWERS).T])


def publish(shards: list[dict[str, Any]], plan: Plan) -> None:
    """Checks kept = sharded, writes what stands beside the shards, then gives the folder its name.

    Args:
      shards: what was written: split, number, images, bytes, channels of each.
      plan: what was to be written.
    """
    if filesystem.exists(filesystem.join(plan.final, STATS)):
        return  # this step ran before, on a worker that was not heard of again
    folder = plan.incomplete
    splits = {name: _split(name, shards, plan) for name in plan.shards}
    labels = filesystem.read(plan.output.labels)
    classes = schema.parse_labels(labels.decode(), plan.output.labels)
    stats = {
        "splits": splits,
        "classes": len(classes),
        **_mean_and_std(shards),
        "photos": plan.photos,
        "attribution": plan.attribution_csv is not None,
        "version": plan.version,
        "seed": plan.seed,
        "inputs": plan.inputs,
    }
    filesystem.write(filesystem.join(folder, "labels.csv"), labels)
    tfds_metadata.write_metadata(folder, stats, classes)
    dataset_card.write(folder, stats, filesystem.read_json(plan.output.decisions_done))
    filesystem.remove(note(plan))
    filesystem.write_json(filesystem.join(folder, STATS), stats)
    filesystem.rename_folder(folder, plan.final, last=STATS)


def note(plan: Plan) -> str:
    """Says what the unfinished shards beside it are made from."""
    return filesystem.join(plan.incomplete, "inputs.json")


def _split(name: str, shards: Sequence[dict[str, Any]], plan: Plan) -> dict[str, Any]:
    """Counts of a split, whose shards without any image are written here, empty."""
    number = plan.shards[name]
    mine = {shard["number"]: shard for shard in shards if shard["split"] == name}
    for missing in sorted(set(range(number)) - set(mine)):
        filesystem.write(filesystem.join(plan.incomplete, paths.shard(name, missing, number)), b"")
    lengths = [mine[n]["images"] if n in mine else 0 for n in range(number)]
    if sum(lengths) != plan.images[name]:
        raise AssertionError(f"{name}: {plan.images[name]} images kept, {sum(lengths)} sharded")
    return {
        "images": sum(lengths),
        "shards": number,
        "bytes": sum(shard["bytes"] for shard in mine.values()),
        "shard_lengths": lengths,
    }


def _mean_and_std(shards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the channels of train (of test, where there is no train), from 0 to 1."""
    names = {shard["split"] for shard in shards}
    name = next(name for name in schema.OUTPUT_SPLITS if name in names)
    found = [shard["channels"] for shard in shards if shard["split"] == name]
    photos, pixels, *sums = np.array(found, np.int64).sum(axis=0).tolist()
    mean = np.array(sums[:3]) / pixels / 255
    std = np.sqrt(np.array(sums[3:]) / pixels / 255**2 - mean**2)
    rounded = {"mean": mean.round(4).tolist(), "std": std.round(4).tolist()}
    return rounded | {"channels_of": photos}
