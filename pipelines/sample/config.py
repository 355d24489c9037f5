"""The flags that say what a generated Google Landmarks Dataset v2 contains."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Options, flag

FEWEST = 6  # images of the smallest landmark above the threshold
RARE = (1, 2, 3, 1)  # images of each landmark below the pipeline's threshold of 4
BROKEN = ("corrupt", "truncated", "empty", "not_image")  # files that cannot be decoded
ODD = ("palette", "cmyk", "rgba", "exif")  # files that need conversion to upright RGB
COPIES = ("copy", "reencoded", "resized")
CONFLICTS = 2  # pairs of the same photo under two landmarks
LEAKS = ("copy", "reencoded")  # train photos that are copies of test photos


@dataclasses.dataclass(frozen=True)
class World(Options):
    """The size and contents of a generated dataset.

    Attributes:
      landmarks: number of landmarks above the pipeline's threshold; a few rare ones are added.
      train_images: approximate number of images in train.
      test_images: number of images in test.
      index_images: number of images in index.
      defects: number of train images with each kind of fault.
      train_archives, test_archives: number of tars of the split.
      sides: least and greatest length of a photo's longer side, in pixels.
      seed: of everything random; another seed gives another dataset.
    """

    landmarks: int = flag(14, "number of landmarks with enough images; a few with fewer are added")
    train_images: int = flag(1000, "number in the world, approximately")
    test_images: int = flag(200, "number in the world")
    index_images: int = 10
    defects: int = flag(3, "number of train images with each kind of fault", old_names=["dirt"])
    train_archives: int = 3
    test_archives: int = 2
    sides: tuple[int, int] = (320, 512)
    seed: int = flag(0, "of the random choices; another seed gives another world")

    def __post_init__(self) -> None:
        """Raises UserError where the world is too small for its planted cases."""
        super().__post_init__()
        fewest = self.landmarks * FEWEST + self.extra
        if self.landmarks < 4 or self.train_images < fewest or self.test_images < 16:
            raise UserError(
                f"expected at least 4 landmarks, {fewest} train images (for so many landmarks) and"
                f" 16 test images; got {self.landmarks}, {self.train_images}, {self.test_images}"
            )

    @property
    def extra(self) -> int:
        """Returns the number of planted train images, beside good photos of frequent landmarks."""
        planted = self.defects * len(COPIES + BROKEN + ODD)
        return planted + sum(RARE) + CONFLICTS + len(LEAKS)
