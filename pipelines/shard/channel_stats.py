"""Computes mean and standard deviation of the color channels from a sample of photos."""

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

POWERS = np.arange(256, dtype=np.int64)[:, None] ** [1, 2]  # [256, 2]: a level, its square
SAMPLE = 32  # photos of each shard from which mean and deviation are computed


@dataclasses.dataclass(frozen=True)
class Channels:
    """Mean and standard deviation of red, green and blue of some photos.

    Attributes:
      mean: [3] of each channel's levels, from 0 to 1.
      std: [3] standard deviation of each channel's levels, from 0 to 1.
      photos: number of photos.
    """

    mean: list[float]
    std: list[float]
    photos: int


def channels(path: str) -> list[int]:
    """Counts photos and pixels of a shard's first photos, and sums their levels and squares.

    The photos are in the order of a hash, so the first are a random sample. Sums of integers do
    not depend on the order in which shards are added up.

    Returns:
      [8]: photos, pixels, sums of the three channels, sums of their squares.
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
    """Returns mean and deviation of the channels of the first output split that has shards."""
    names = {shard.split for shard in shards}
    name = next(name for name in schema.OUTPUT_SPLITS if name in names)
    found = [shard.channels for shard in shards if shard.split == name]
    photos, pixels, *sums = np.array(found, np.int64).sum(axis=0).tolist()
    mean = np.array(sums[:3]) / pixels / 255
    std = np.sqrt(np.array(sums[3:]) / pixels / 255**2 - mean**2)
    return Channels(mean.round(4).tolist(), std.round(4).tolist(), photos)
