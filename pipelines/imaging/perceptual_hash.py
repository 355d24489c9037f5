"""Computes perceptual hashes, which find repeated and nearly repeated photos. No Beam."""

from __future__ import annotations

import dataclasses

import imagehash
import numpy as np
from PIL import Image

THUMBNAIL = 32  # pixels: side of the thumbnail that all hashes are computed from
FINE = 16  # side of the finer pHash, before half of its bits are taken


@dataclasses.dataclass(frozen=True)
class PerceptualHashes:
    """The perceptual hashes of a photo; hashes of similar photos differ in few bits.

    Attributes:
      phash: 64 bits of its low frequencies (Zauner 2010, "Implementation and
        benchmarking of perceptual image hash functions").
      dhash: 64 bits of its horizontal gradients.
      fine: twice 64 bits, half of those of a 16 x 16 pHash. They separate similar from
        other photos as well as all 256 bits do.
      entropy: of its grey levels, in bits; 0 for a uniform area, 6 to 8 for most photos.
    """

    phash: int
    dhash: int
    fine: tuple[int, int]
    entropy: float


def perceptual_hashes(image: Image.Image) -> PerceptualHashes:
    """Returns the hashes of an upright RGB image; the time grows with its size.

    All hashes use the same thumbnail: resizing the photo for each of them took nine
    tenths of the time.
    """
    grey = image.convert("L")
    small = grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=3.0)
    fine = imagehash.phash(small, hash_size=FINE, highfreq_factor=THUMBNAIL // FINE).hash
    return PerceptualHashes(
        _bits(imagehash.phash(small).hash),
        _bits(imagehash.dhash(small).hash),
        (_bits(fine[::2, ::2]), _bits(fine[1::2, 1::2])),
        round(grey.entropy(), 3),
    )


def _bits(bits: np.ndarray) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
