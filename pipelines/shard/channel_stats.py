"""Mean and deviation of the channels, from a sample of photos"""

from __future__ import annotations

import dataclasses
import io
import itertools
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pipelines.common import schema
from pipelines.shard.plan import WrittenShard
from pipelines.storage import filesystem, tf_example, tfrecord

POWERS = np.arange(256, dtype=np.int64)[:, None] ** [1, 2]  # of a channel's levels
SAMPLE = 32  # photos of each shard that the channels' mean and deviation are from


@dataclasses.dataclass(frozen=True)
class Channels:
    """Red, green and blue of some photos.

    Attributes:
      mean, std: of each channel's levels, from 0 to 1.
      photos: how many.
    """

    mean: list[float]
    std: list[float]
    photos: int


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


def mean_and_std(shards: Sequence[WrittenShard]) -> Channels:
    """Of the channels of train (of test, where there is no train), from 0 to 1."""
    names = {shard.split for shard in shards}
    name = next(name for name in schema.OUTPUT_SPLITS if name in names)
    found = [shard.channels for shard in shards if shard.split == name]
    photos, pixels, *sums = np.array(found, np.int64).sum(axis=0).tolist()
    mean = np.array(sums[:3]) / pixels / 255
    std = np.sqrt(np.array(sums[3:]) / pixels / 255**2 - mean**2)
    return Channels(mean.round(4).tolist(), std.round(4).tolist(), photos)
