"""How photos are normalised"""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError


@dataclasses.dataclass(frozen=True)
class Normal:
    """How photos are normalised; the same in training and scoring.

    Attributes:
      image_size: bound of the longest side, pixels; 0 keeps the size, and the
        bytes too where they already are an upright RGB JPEG.
      quality: of the JPEG encoder, 1 to 95.
      max_pixels: a baseline JPEG with more is rejected undecoded. It can be
        decoded small; what has to be decoded whole has a lower bound.
    """

    image_size: int = 384
    quality: int = 90
    max_pixels: int = 200_000_000

    def __post_init__(self):
        if self.image_size < 0 or 0 < self.image_size < 16:
            raise UserError(f"--image_size: expected 0 or at least 16, found {self.image_size}")
        if not 1 <= self.quality <= 95:
            raise UserError(f"--quality: expected 1 to 95, found {self.quality}")
