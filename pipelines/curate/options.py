"""The flags of gld2 curate: what decisions depend on, beside facts and metadata."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pipelines.common.options import Options, OutputOptions, SeedOptions, flag, group
from pipelines.source.options import SourceOptions, SplitsOptions

MAX_RADIUS = 7  # bits; the widest that the bands of the search find without a miss
CONFLICTS = ("drop", "keep_clean", "keep_first")
LEAKS = ("test", "index")  # splits whose photos train may be kept free of
ONE_PER_CLASS = "one_per_class"


def parse_radius(text: str) -> int | None:
    """Returns bits; None to go by the files' bytes alone.

    Raises:
      ValueError: neither none nor a number of bits that can be searched for.
    """
    if text == "none":
        return None
    if text.isdecimal() and int(text) > MAX_RADIUS:
        raise ValueError(
            f"expected at most {MAX_RADIUS} bits, found {text}; beyond, different photos would be "
            "joined"
        )
    if not text.isdecimal():
        raise ValueError(f"expected none or 0 to {MAX_RADIUS} bits, found {text!r}")
    return int(text)


def parse_leaks(text: str) -> tuple[str, ...]:
    """Returns splits, in one order however they were given.

    Raises:
      ValueError: a text that names anything else.
    """
    found = set(text.split(",")) if text != "none" else set()
    if not found <= set(LEAKS):
        raise ValueError(f"expected test, index, test,index or none, found {text!r}")
    return tuple(split for split in LEAKS if split in found)


def parse_share(text: str) -> float | None:
    """Returns the share of images that validation takes; None for one of each class.

    Raises:
      ValueError: neither a name nor a fraction below 1.
    """
    if text == ONE_PER_CLASS:
        return None
    try:
        share = 0.0 if text == "none" else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise ValueError(f"expected {ONE_PER_CLASS}, none or a fraction below 1, found {text!r}")
    return share


def parse_names(text: str) -> tuple[str, ...]:
    """Returns what commas separate, without blanks around, in one order however it was given."""
    return sorted_names(text.split(","))


def sorted_names(found: list[str]) -> tuple[str, ...]:
    """Returns names without blanks around them, each once, sorted."""
    return tuple(sorted({name.strip() for name in found} - {""}))


@dataclasses.dataclass(frozen=True)
class FilterOptions(Options):
    """What a train image has to be. Test images are never filtered.

    Attributes:
      min_side: pixels of the source's shorter side.
      max_aspect: its longer side over its shorter side.
      min_entropy: bits, of its grey levels.
      clean_only: only what the clean list has.
      licences: its licence contains one of these; empty takes any.
      excluded_authors: its author is none of these.
      categories: its landmark is of one of these; empty takes any.
    """

    min_side: int = flag(
        32,
        "drop a photo whose shorter side, as published, has fewer",
        metavar="PIXELS",
        least=0,
    )
    max_aspect: float = flag(
        5.0,
        "drop a photo whose longer side is more than so many times its shorter one: squeezed to a "
        "square, a strip shows nothing (default: {default}; 1000 keeps all)",
        metavar="RATIO",
        least=1,
    )
    min_entropy: float = flag(
        1.0,
        "drop a photo with less in its grey levels: 0 is a plain surface, most photos have 6 to 8 "
        "(default: {default}; 0 keeps all)",
        metavar="BITS",
        least=0,
    )
    clean_only: bool = flag(
        False,
        "keep only what train_clean.csv lists: 1.6 of 4.1 million, each seen to match others of "
        "its landmark",
    )
    licences: tuple[str, ...] = flag(
        (),
        "keep photos whose licence in train_attribution.csv contains one of these, as "
        "/by/2.0,/by/4.0; one without attribution goes (default: any)",
        metavar="TEXT,...",
        parse=parse_names,
    )
    excluded_authors: tuple[str, ...] = flag(
        (),
        "drop photos of whom train_attribution.csv names so, in full; give the flag again for "
        "another (names contain commas)",
        name="exclude_author",
        metavar="NAME",
        repeats=True,
        parse=sorted_names,  # type: ignore[arg-type]
    )
    categories: tuple[str, ...] = flag(
        (),
        "keep landmarks of one of these, as church,bridge or natural: their Commons category, "
        "supercategory, label or natural_or_human_made in train_label_to_hierarchical.csv; %2C "
        "stands for a comma (default: any)",
        metavar="NAME,...",
        parse=parse_names,
    )

    @property
    def needs_credits(self) -> bool:
        """Whether the attribution CSV has to be read."""
        return bool(self.licences or self.excluded_authors)


@dataclasses.dataclass(frozen=True)
class CurateOptions(SeedOptions):
    """What decisions depend on, beside facts and metadata.

    Attributes:
      seed: of the choice of validation images.
      near_duplicate_radius: bits in which the hashes of like photos may differ; None for files of
        the same bytes only.
      exclude_leaks_from: the splits whose photos may not be in train.
      on_conflict: what becomes of a photo under several landmarks, one of CONFLICTS.
      min_images_per_class: a landmark with fewer images left is dropped.
      validation_share: of the images; None takes one of each landmark that can spare it.
      filters: which train images are kept.
    """

    near_duplicate_radius: int | None = flag(
        MAX_RADIUS,
        "photos are the same where their 64-bit hashes differ in so many bits or fewer, "
        f"0 to {MAX_RADIUS}: 0 finds copies at other sizes and qualities, more finds crops and "
        "touched-up ones too; none goes by the files' bytes alone",
        metavar="BITS|none",
        parse=parse_radius,
    )
    exclude_leaks_from: tuple[str, ...] = flag(
        ("test",),
        "drop train photos that are also in test, or in index, which has to be downloaded: either "
        "or both, separated by a comma, or none to keep them. A model that has seen its test "
        "photos scores better than it is",
        metavar="SPLITS|none",
        parse=parse_leaks,
        old_names=["against"],
    )
    on_conflict: str = flag(
        "keep_clean",
        "of a photo that several landmarks have, drop all copies, or keep one: keep_clean where "
        "the clean list confirms one landmark alone, keep_first in any case, a clean one before "
        "others, then that of most pixels",
        choices=CONFLICTS,
    )
    min_images_per_class: int = flag(
        4,
        "drop a landmark with fewer images left (default: {default}, so that one can go to "
        "validation and three stay)",
        least=1,
    )
    validation_share: float | None = flag(
        None,
        "one_per_class (one image of each landmark that has more than three), none, or a fraction "
        "such as 0.05",
        name="validation",
        metavar="SHARE",
        shown=ONE_PER_CLASS,
        parse=parse_share,
    )
    filters: FilterOptions = group(
        "filters",
        "of train images; all test images are kept, as a submission has to name each",
        factory=FilterOptions,
    )

    def as_json(self) -> dict[str, Any]:
        """The values as done.json gives them back: a tuple has become a list."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


@dataclasses.dataclass(frozen=True)
class CurateCommandOptions(Options):
    """The flags of gld2 curate."""

    source: SourceOptions = group("source")
    splits: SplitsOptions = group()
    output: OutputOptions = group()
    curate: CurateOptions = group("curate")
