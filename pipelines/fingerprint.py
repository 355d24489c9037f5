"""Digests by which the same photo, or nearly the same, is known again. No Beam."""

from __future__ import annotations

import dataclasses
import hashlib

import imagehash
import numpy as np
from PIL import Image

THUMBNAIL = 32  # pixels; what a 64-bit pHash is computed from


@dataclasses.dataclass(frozen=True)
class Perceptual:
    """64-bit hashes of what a photo looks like; like photos differ in few bits.

    Attributes:
      phash: of its low frequencies (Zauner 2010, "Implementation and
        benchmarking of perceptual image hash functions").
      dhash: of its horizontal gradients.
    """

    phash: int
    dhash: int


def sha256(data: bytes) -> str:
    """64 hex of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def perceptual(image: Image.Image) -> Perceptual:
    """Hashes an upright RGB image; cheaper the smaller it already is.

    Both hashes look at one small thumbnail: shrinking the photo for each took
    nine tenths of their time.
    """
    side = (THUMBNAIL, THUMBNAIL)
    grey = image.convert("L").resize(side, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Perceptual(_bits(imagehash.phash(grey)), _bits(imagehash.dhash(grey)))


def _bits(value: imagehash.ImageHash) -> int:
    return int.from_bytes(np.packbits(value.hash).tobytes(), "big")
