"""From a photo's bytes to the square that the network sees, in the TensorFlow graph.

`whole` serves validation and the exported model alike, so that a photo scores the same in both.
"""

from __future__ import annotations

import tensorflow as tf

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """JPEG, PNG, GIF (first frame) or BMP bytes to [height, width, 3] uint8 RGB."""
    photo = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(photo, [None, None, 3])


def square(photo: tf.Tensor, size: int) -> tf.Tensor:
    """[height, width, 3] to [size, size, 3] float32 0-255; the aspect is not kept."""
    return tf.image.resize(photo, [size, size], method="bilinear", antialias=True)


def whole(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """A photo's bytes to [size, size, 3] float32 0-255."""
    return square(decode(encoded), size)


def augmented(
    encoded: tf.Tensor, size: int, seed: tf.Tensor, crop: float, colour: float, flip: float
) -> tf.Tensor:
    """A photo's bytes to one random view of it.

    Args:
      encoded: the bytes.
      size: side of the square, pixels.
      seed: [2] int64; the same seed gives the same view.
      crop: smallest share of the area that is kept.
      colour: brightness, contrast and saturation each change by a factor of 1 +- this.
      flip: probability of mirroring.

    Returns:
      [size, size, 3] float32 0-255.
    """
    seeds = tf.random.split(seed, 3)
    photo = square(random_crop(decode(encoded), seeds[0], crop), size)
    mirror = tf.random.stateless_uniform([], seeds[1]) < flip
    photo = tf.cond(mirror, lambda: tf.reverse(photo, [1]), lambda: photo)
    return random_colour(photo, seeds[2], colour) if colour else photo


def random_crop(photo: tf.Tensor, seed: tf.Tensor, smallest: float) -> tf.Tensor:
    """A random part with `smallest` to 1 of the area and an aspect of 3/4 to 4/3 of the photo's.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6.

    Args:
      photo: [height, width, 3].
      seed: [2] int64.
      smallest: share of the area.

    Returns:
      [at most height, at most width, 3].
    """
    draws = tf.random.stateless_uniform([4], seed)
    area = smallest + (1.0 - smallest) * draws[0]
    widest = tf.minimum(tf.math.log(4.0 / 3.0), -tf.math.log(area))  # so that no side is over 1
    aspect = tf.exp((2.0 * draws[1] - 1.0) * widest)
    sides = tf.sqrt([area / aspect, area * aspect])
    available = tf.cast(tf.shape(photo)[:2], tf.float32)
    kept = tf.clip_by_value(tf.round(sides * available), 1.0, available)
    start = tf.floor(draws[2:] * (available - kept + 1.0))
    begin = tf.concat([tf.cast(start, tf.int32), [0]], 0)
    return tf.slice(photo, begin, tf.concat([tf.cast(kept, tf.int32), [3]], 0))


def random_colour(photo: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Brightness, contrast and saturation, each by a factor of 1 +- strength.

    Args:
      photo: [height, width, 3] float32 0-255.
      seed: [2] int64.
      strength: 0 to 1.

    Returns:
      Its like, still 0-255.
    """
    factors = tf.random.stateless_uniform([3], seed, 1.0 - strength, 1.0 + strength)
    photo *= factors[0]
    photo = _away_from(tf.reduce_mean(photo), photo, factors[1])
    grey = tf.reduce_sum(photo * _GREY, axis=-1, keepdims=True)
    return tf.clip_by_value(_away_from(grey, photo, factors[2]), 0.0, 255.0)


def _away_from(base: tf.Tensor, photo: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return base + (photo - base) * factor
