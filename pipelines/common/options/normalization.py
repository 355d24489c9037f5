"""Defines the flags of normalization, without importing the imaging libraries."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Options, flag


@dataclasses.dataclass(frozen=True)
class NormalizationConfig(Options):
    """How photos are normalized; the same in training and scoring.

    Attributes:
      image_size: greatest length of the longer side, in pixels; 0 keeps the size, and also the
        bytes of a file that is an upright RGB JPEG.
      quality: of the JPEG encoder, 1 to 95.
      max_pixels: a baseline JPEG with more is rejected undecoded. It can be decoded at a reduced
        size; formats that must be decoded in full have lower bounds in normalize.py.
    """

    image_size: int = flag(384, "greatest length of the longer side in pixels; 0 keeps the size")
    quality: int = flag(90, "of the JPEG encoder", least=1, most=95)
    max_pixels: int = 200_000_000

    def __post_init__(self) -> None:
        """Raises UserError for a size or a quality out of range."""
        super().__post_init__()
        if self.image_size < 0 or 0 < self.image_size < 16:
            raise UserError(f"--image_size: expected 0 or at least 16, found {self.image_size}")
