"""TensorFlow ops from a photo's bytes to the square of pixels that the network takes.

Validation and the exported model both use `whole`, so that a photo scores the same in both.
"""

from __future__ import annotations

import tensorflow as tf

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes JPEG, PNG, GIF (first frame) or BMP bytes to [height, width, 3] uint8 RGB."""
    photo = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(photo, [None, None, 3])


def decode_jpeg(encoded: tf.Tensor, window: tf.Tensor | None = None) -> tf.Tensor:
    """Decodes a JPEG, or a window of it, to [height, width, 3] uint8 RGB.

    Args:
      encoded: the JPEG's bytes.
      window: [4] int32: top, left, height, width, pixels; None for the whole photo.
    """
    if window is None:
        window = tf.concat([[0, 0], tf.io.extract_jpeg_shape(encoded)[:2]], 0)
    return tf.image.decode_and_crop_jpeg(encoded, window, channels=3)


def whole(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes a whole photo and resizes it to [size, size, 3] float32 0-255, aspect ignored."""
    return tf.image.resize(decode(encoded), [size, size], method="bilinear", antialias=True)


def random_view(
    encoded: tf.Tensor, size: int, seed: tf.Tensor, crop: float, jitter: float, flip: float
) -> tf.Tensor:
    """Decodes a random crop of a JPEG, resizes it, and mirrors and recolours it at random.

    Args:
      encoded: the JPEG's bytes.
      size: side of the square, pixels.
      seed: [2] int64; the same seed gives the same view.
      crop: smallest share of the area that is kept.
      jitter: brightness, contrast and saturation each change by a factor of 1 +- this.
      flip: probability of mirroring.

    Returns:
      [size, size, 3] uint8, as float32 would take four times the bytes to the device.
    """
    seeds = tf.random.split(seed, 3)
    window = random_crop_window(tf.io.extract_jpeg_shape(encoded)[:2], seeds[0], crop)
    photo = resize_to_square(decode_jpeg(encoded, window), size)
    mirror = tf.random.stateless_uniform([], seeds[1]) < flip
    photo = tf.cond(mirror, lambda: tf.reverse(photo, [1]), lambda: photo)
    if jitter:
        photo = jitter_color(photo, seeds[2], jitter)
    return tf.saturate_cast(tf.round(photo), tf.uint8)


def resize_to_square(photo: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes [height, width, 3] uint8 to [size, size, 3] float32 0-255.

    Antialiasing takes three times as long as decoding. It is done only where a photo shrinks to
    less than half: above that, bilinear interpolation skips no pixel.
    """

    def resize(antialias: bool) -> tf.Tensor:
        resized = tf.image.resize(photo, [size, size], method="bilinear", antialias=antialias)
        return tf.ensure_shape(resized, [size, size, 3])

    large = tf.reduce_max(tf.shape(photo)[:2]) > 2 * size
    return tf.cond(large, lambda: resize(True), lambda: resize(False))


def random_crop_window(shape: tf.Tensor, seed: tf.Tensor, smallest: float) -> tf.Tensor:
    """Returns a random window with `smallest` to 1 of the area and 3/4 to 4/3 of the aspect ratio.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6.

    Args:
      shape: [2] int32, the photo's height and width, pixels.
      seed: [2] int64.
      smallest: smallest share of the area.

    Returns:
      [4] int32: top, left, height, width, pixels.
    """
    draws = tf.random.stateless_uniform([4], seed)
    area = smallest + (1.0 - smallest) * draws[0]
    widest = tf.minimum(tf.math.log(4.0 / 3.0), -tf.math.log(area))  # keeps both sides at 1 or less
    aspect = tf.exp((2.0 * draws[1] - 1.0) * widest)
    sides = tf.sqrt([area / aspect, area * aspect])
    available = tf.cast(shape, tf.float32)
    kept = tf.clip_by_value(tf.round(sides * available), 1.0, available)
    start = tf.floor(draws[2:] * (available - kept + 1.0))
    return tf.cast(tf.concat([start, kept], 0), tf.int32)


def jitter_color(photo: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes brightness, contrast and saturation, each by a random factor of 1 +- strength.

    The three are linear, so that one matrix replaces three passes over the pixels.

    Args:
      photo: [height, width, 3] float32 0-255.
      seed: [2] int64.
      strength: 0 to 1.

    Returns:
      [height, width, 3] float32; values may lie outside 0-255.
    """
    low, high = 1.0 - strength, 1.0 + strength
    brightness, contrast, saturation = tf.unstack(tf.random.stateless_uniform([3], seed, low, high))
    grey = tf.tile(tf.constant(_GREY)[:, tf.newaxis], [1, 3])
    mix = saturation * tf.eye(3) + (1.0 - saturation) * grey
    mean = brightness * tf.reduce_mean(photo)
    matrix = brightness * contrast * mix
    return tf.tensordot(photo, matrix, 1) + mean * (1.0 - contrast)
