"""What a small generated Google Landmarks Dataset v2 has in it: the flags."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options import Options, flag

FEWEST = 6  # images in the smallest class that is kept
RARE = (1, 2, 3, 1)  # images of the landmarks below the pipeline's threshold of 4
BROKEN = ("corrupt", "truncated", "empty", "not_image")  # cannot be decoded
ODD = ("palette", "cmyk", "rgba", "exif")  # can be, with care
COPIES = ("copy", "reencoded", "resized")
CONFLICTS = 2
LEAKS = ("copy", "reencoded")  # train photos that are copies of test photos


@dataclasses.dataclass(frozen=True)
class World(Options):
    """What to generate.

    Attributes:
      landmarks: classes above the pipeline's threshold; a few smaller ones come on top.
      train_images: images in train, about.
      test_images: images in test.
      index_images: images in index.
      defects: how many of each fault are planted in train.
      train_archives, test_archives: tars to a split.
      sides: shortest and longest long side of a photo, in pixels.
      seed: another seed is another world.
    """

    landmarks: int = flag(14, "with enough images; a few with fewer come on top")
    train_images: int = flag(1000, "in the world, about")
    test_images: int = flag(200, "in the world")
    index_images: int = 10
    defects: int = flag(3, "of each kind of fault among the train images", old_names=["dirt"])
    train_archives: int = 3
    test_archives: int = 2
    sides: tuple[int, int] = (320, 512)
    seed: int = flag(0, "another one is another world")

    def __post_init__(self) -> None:
        """Raises UserError for a world that is too small."""
        super().__post_init__()
        fewest = self.landmarks * FEWEST + self.extra
        if self.landmarks < 4 or self.train_images < fewest or self.test_images < 16:
            raise UserError(
                f"expected at least 4 landmarks, {fewest} train images (for so many landmarks) and"
                f" 16 test images; got {self.landmarks}, {self.train_images}, {self.test_images}"
            )

    @property
    def extra(self) -> int:
        """Train images beside the plain photos of the landmarks that are kept."""
        planted = self.defects * len(COPIES + BROKEN + ODD)
        return planted + sum(RARE) + CONFLICTS + len(LEAKS)
