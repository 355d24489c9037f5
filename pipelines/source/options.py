"""The flags that select a source and its splits."""

from __future__ import annotations

import dataclasses
import re

from pipelines.common.options.flags import Options, flag
from pipelines.common.schema import SPLITS, STAGED_SPLITS

SOURCE_HELP = (
    "http(s) URL, gs:// or folder in GLDv2's published layout ({split}/images_NNN.tar, md5sum/, "
    "metadata/) or in Kaggle's ({split}/a/b/c/<id>.jpg, train.csv)"
)


def parse_numbers(text: str) -> tuple[int, ...]:
    """Returns the numbers in a list of ranges: `0-4,7` -> (0, 1, 2, 3, 4, 7).

    Raises:
      ValueError: the text is malformed.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        bounds = re.fullmatch(r"\s*(\d{1,3})(?:-(\d{1,3}))?\s*", part)
        if not bounds:
            raise ValueError(f"expected numbers and ranges as 0-4,7, found {text!r}")
        first, last = int(bounds[1]), int(bounds[2] or bounds[1])
        if last < first:
            raise ValueError(f"expected the lower number of a range first, found {part!r}")
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def parse_splits(text: str) -> tuple[str, ...]:
    """Returns the splits in a comma-separated list, each once, in its order.

    Raises:
      ValueError: the list has a name that is no split.
    """
    for split in (found := tuple(dict.fromkeys(text.split(",")))):
        if split not in STAGED_SPLITS:
            raise ValueError(f"expected some of {','.join(STAGED_SPLITS)}, found {split!r}")
    return found


@dataclasses.dataclass(frozen=True)
class SourceOptions(Options):
    """The source of photos and metadata.

    Attributes:
      source: folder, gs:// or http(s) URL.
      archives: numbers of the tars to take from each split, or None for all.
      limit: number of images to take from each unit, or None for all.
    """

    source: str = flag(about=SOURCE_HELP, metavar="ROOT")
    archives: tuple[int, ...] | None = flag(
        None,
        "take only these tars of each split (default: all)",
        metavar="0-4,7",
        parse=parse_numbers,
    )
    limit: int | None = flag(
        None,
        "read only the first N images of each tar; its md5 is then not checked",
        least=1,
    )


@dataclasses.dataclass(frozen=True)
class OptionalSourceOptions(SourceOptions):
    """The source for commands that can run without one; an empty `source` is none."""

    source: str = flag("", SOURCE_HELP, metavar="ROOT")


@dataclasses.dataclass(frozen=True)
class IncompleteOptions(Options):
    """Whether a command goes on where units of the source could not be staged.

    Attributes:
      allow_incomplete: whether it does; what it makes then names the units that are missing.
    """

    allow_incomplete: bool = flag(
        False,
        "go on where tars could not be staged; the dataset's card and stats.json name them, and "
        "the same command completes the dataset once they can be",
    )


@dataclasses.dataclass(frozen=True)
class SplitsOptions(Options):
    """The splits that a command prepares.

    Attributes:
      split: names of splits, in the order given.
    """

    split: tuple[str, ...] = flag(
        SPLITS,
        "comma-separated splits: train, test, and index, which is only downloaded; splits that the "
        "source lacks are reported and skipped",
        parse=parse_splits,
    )
