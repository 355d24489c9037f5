"""Digests by which the same photo, or nearly the same, is known again. No Beam."""

from __future__ import annotations

import dataclasses

import imagehash
import numpy as np
from PIL import Image

THUMBNAIL = 32  # pixels; what each hash is computed from
FINE = 16  # a side of the finer pHash, before every other bit of it is taken


@dataclasses.dataclass(frozen=True)
class PerceptualHashes:
    """What a photo looks like, in few bits; like photos differ in few of them.

    Attributes:
      phash: 64 bits of its low frequencies (Zauner 2010, "Implementation and
        benchmarking of perceptual image hash functions").
      dhash: 64 bits of its horizontal gradients.
      fine: twice 64 bits, every other one of a 16 x 16 pHash. Half of its bits
        tell like from unlike as well as all of them do.
      entropy: of its grey levels, bits; 0 is a plain surface, most photos have 6 to 8.
    """

    phash: int
    dhash: int
    fine: tuple[int, int]
    entropy: float


def perceptual_hashes(image: Image.Image) -> PerceptualHashes:
    """Hashes an upright RGB image; cheaper the smaller it already is.

    All hashes look at one small thumbnail: shrinking the photo for each took
    nine tenths of their time.
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
