"""Defines the flags that curate's decisions depend on, besides facts and metadata."""

from __future__ import annotations

import dataclasses

from pipelines.common.options.flags import Options, SeedOptions, flag, group

MAX_RADIUS = 7  # bits; the largest for which the search finds all pairs
CONFLICTS = ("drop", "keep_clean", "keep_first")
LEAKS = ("test", "index")  # splits whose photos may be removed from train
ONE_PER_CLASS = "one_per_class"


def parse_radius(text: str) -> int | None:
    """Returns a radius in bits; None (for "none") to compare only the files' bytes.

    Raises:
      ValueError: the text is neither none nor a number from 0 to MAX_RADIUS.
    """
    if text == "none":
        return None
    if not text.isdecimal():
        raise ValueError(f"expected none or 0 to {MAX_RADIUS} bits, found {text!r}")
    if int(text) > MAX_RADIUS:
        raise ValueError(
            f"expected at most {MAX_RADIUS} bits, found {text}; a larger radius would join "
            "different photos"
        )
    return int(text)


def parse_leaks(text: str) -> tuple[str, ...]:
    """Returns the splits that a text names, in the order of LEAKS.

    Raises:
      ValueError: the text names anything else.
    """
    found = set(text.split(",")) if text != "none" else set()
    if not found <= set(LEAKS):
        raise ValueError(f"expected test, index, test,index or none, found {text!r}")
    return tuple(split for split in LEAKS if split in found)


def parse_share(text: str) -> float | None:
    """Returns the share of images that go to validation; None for one of each class.

    Raises:
      ValueError: the text is neither one_per_class nor none nor a fraction below 1.
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
    """Returns the names that commas separate, without blanks around them, each once, sorted."""
    return sorted_names(text.split(","))


def sorted_names(found: list[str]) -> tuple[str, ...]:
    """Returns names without blanks around them, each once, sorted."""
    return tuple(sorted({name.strip() for name in found} - {""}))


@dataclasses.dataclass(frozen=True)
class FilterOptions(Options):
    """The conditions that a train image has to meet. Test images are never filtered.

    Attributes:
      min_side: least length of the shorter side as published, pixels.
      max_aspect: largest ratio of the longer side to the shorter side.
      min_entropy: least entropy of the grey levels, bits.
      clean_only: whether the clean list has to contain the image.
      licences: the licence has to contain one of these texts; empty for any.
      excluded_authors: the author may be none of these.
      categories: the landmark has to be in one of these; empty for any.
    """

    min_side: int = flag(
        32,
        "drop a photo whose shorter side, as published, has fewer pixels",
        metavar="PIXELS",
        least=0,
    )
    max_aspect: float = flag(
        5.0,
        "drop a photo whose longer side is more than so many times its shorter one: a strip "
        "resized to a square shows nothing (default: {default}; 1000 keeps all)",
        metavar="RATIO",
        least=1,
    )
    min_entropy: float = flag(
        1.0,
        "drop a photo whose grey levels have less entropy: a plain surface has 0, most photos "
        "6 to 8 (default: {default}; 0 keeps all)",
        metavar="BITS",
        least=0,
    )
    clean_only: bool = flag(
        False,
        "keep only the photos that train_clean.csv lists: 1.6 of 4.1 million, each checked to "
        "match others of its landmark",
    )
    licences: tuple[str, ...] = flag(
        (),
        "keep photos whose licence in train_attribution.csv contains one of these texts, such as "
        "/by/2.0,/by/4.0; a photo without attribution is dropped (default: any)",
        metavar="TEXT,...",
        parse=parse_names,
    )
    excluded_authors: tuple[str, ...] = flag(
        (),
        "drop photos of this author, spelt as in train_attribution.csv; repeat the flag for "
        "another author (names may contain commas)",
        name="exclude_author",
        metavar="NAME",
        repeats=True,
        parse=sorted_names,
    )
    categories: tuple[str, ...] = flag(
        (),
        "keep landmarks in one of these categories, such as church,bridge or natural: compared "
        "with the Commons category, supercategory, label and natural_or_human_made of "
        "train_label_to_hierarchical.csv; write %2C for a comma in a name (default: any)",
        metavar="NAME,...",
        parse=parse_names,
    )

    @property
    def needs_credits(self) -> bool:
        """Tells whether the attribution CSV has to be read."""
        return bool(self.licences or self.excluded_authors)


@dataclasses.dataclass(frozen=True)
class CurateOptions(SeedOptions):
    """The parameters that decisions depend on, besides facts and metadata.

    Attributes:
      seed: of the choice of validation images.
      near_duplicate_radius: bits in which the hashes of near duplicates may differ; None to
        compare only the files' bytes.
      exclude_leaks_from: the splits whose photos may not be in train.
      on_conflict: what is done with a photo of several landmarks, one of CONFLICTS.
      min_images_per_class: a landmark with fewer images left is dropped.
      validation_share: of the images; None for one image of each landmark with more than three.
      filters: which train images are kept.
    """

    near_duplicate_radius: int | None = flag(
        MAX_RADIUS,
        "two photos are near duplicates where their 64-bit hashes differ in at most so many bits, "
        f"0 to {MAX_RADIUS}: 0 finds copies of another size or quality, more bits find crops and "
        "edited copies, too; none compares only the files' bytes",
        metavar="BITS|none",
        parse=parse_radius,
    )
    exclude_leaks_from: tuple[str, ...] = flag(
        ("test",),
        "drop train photos that are also in these splits: test, index (which has to be "
        "downloaded), or both, separated by a comma; none keeps them. A model that was trained on "
        "test photos gets a score that is too high",
        metavar="SPLITS|none",
        parse=parse_leaks,
        old_names=["against"],
    )
    on_conflict: str = flag(
        "keep_clean",
        "where copies of a photo have several landmarks: drop removes all copies, keep_clean keeps "
        "one if the clean list confirms exactly one landmark, keep_first keeps one in any case, "
        "first a clean one, then the one with most pixels",
        choices=CONFLICTS,
    )
    min_images_per_class: int = flag(
        4,
        "drop a landmark with fewer images left (default: {default}: one for validation and three "
        "for train)",
        least=1,
    )
    validation_share: float | None = flag(
        None,
        "images for validation: one_per_class (one image of each landmark that has more than "
        "three), none, or a fraction such as 0.05",
        name="validation",
        metavar="SHARE",
        shown=ONE_PER_CLASS,
        parse=parse_share,
    )
    filters: FilterOptions = group(
        "filters",
        "of train images; all test images are kept, as a submission needs a row for each",
        factory=FilterOptions,
    )
