"""The flags that say which photos are kept: curate's."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from pipelines.common.cli import at_least
from pipelines.common.errors import UserError
from pipelines.curate.decisions import Parameters
from pipelines.curate.filters import Filters
from pipelines.curate.near_duplicates import duplicates
from pipelines.curate.near_duplicates.multi_index_hashing import RADIUS


class CurateOptions:
    """Which images are the same, which landmarks stay, and what validation takes."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("curate")
        group.add_argument(
            "--near_duplicate_radius",
            default=str(Parameters.near_duplicate_radius),
            metavar="BITS|none",
            help="photos are the same where their 64-bit hashes differ in so many bits or fewer, "
            f"0 to {RADIUS}: 0 finds copies at other sizes and qualities, more finds crops "
            "and touched-up ones too; none goes by the files' bytes alone (default: %(default)s)",
        )
        group.add_argument(
            "--against",
            default=",".join(Parameters.against),
            help="drop train photos that are also in test, or in index, which has to be "
            "downloaded: either or both, separated by a comma, or none to keep them. A model that "
            "has seen its test photos scores better than it is (default: %(default)s)",
        )
        group.add_argument(
            "--on_conflict",
            choices=duplicates.CONFLICTS,
            default=Parameters.on_conflict,
            help="of a photo that several landmarks have, drop all copies, or keep one: keep_clean "
            "where the clean list confirms one landmark alone, keep_first in any case, a clean "
            "one before others, then that of most pixels (default: %(default)s)",
        )
        group.add_argument(
            "--min_images_per_class",
            type=int,
            default=4,
            help="drop a landmark with fewer images left (default: %(default)s, so that "
            "one can go to validation and three stay)",
        )
        group.add_argument(
            "--validation",
            default="one_per_class",
            help="one_per_class (one image of each landmark that has more than three), none, "
            "or a fraction such as 0.05 (default: %(default)s)",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "min_images_per_class", 1)
        args.validation_share = _share(args.validation)
        args.near_duplicate_radius = _radius(args.near_duplicate_radius)
        args.against = _against(args.against)


class FilterOptions:
    """Which train images are kept for what they are; test images always are."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group(
            "filters", "of train images; all test images are kept, as a submission has to name each"
        )
        cls._add_looks(group)
        cls._add_metadata(group)

    @classmethod
    def _add_looks(cls, group: argparse._ArgumentGroup) -> None:
        group.add_argument(
            "--min_side",
            type=int,
            default=Filters.min_side,
            metavar="PIXELS",
            help="drop a photo whose shorter side, as published, has fewer (default: %(default)s)",
        )
        group.add_argument(
            "--max_aspect",
            type=float,
            default=Filters.max_aspect,
            metavar="RATIO",
            help="drop a photo whose longer side is more than so many times its shorter one: "
            "squeezed to a square, a strip shows nothing (default: %(default)s; 1000 keeps all)",
        )
        group.add_argument(
            "--min_entropy",
            type=float,
            default=Filters.min_entropy,
            metavar="BITS",
            help="drop a photo with less in its grey levels: 0 is a plain surface, most photos "
            "have 6 to 8 (default: %(default)s; 0 keeps all)",
        )

    @classmethod
    def _add_metadata(cls, group: argparse._ArgumentGroup) -> None:
        group.add_argument(
            "--clean_only",
            action="store_true",
            help="keep only what train_clean.csv lists: 1.6 of 4.1 million, each seen to match "
            "others of its landmark",
        )
        group.add_argument(
            "--licences",
            default="",
            metavar="TEXT,...",
            help="keep photos whose licence in train_attribution.csv contains one of these, as "
            "/by/2.0,/by/4.0; one without attribution goes (default: any)",
        )
        group.add_argument(
            "--exclude_author",
            action="append",
            default=[],
            metavar="NAME",
            help="drop photos of whom train_attribution.csv names so, in full; give the flag "
            "again for another (names contain commas)",
        )
        group.add_argument(
            "--categories",
            default="",
            metavar="NAME,...",
            help="keep landmarks of one of these, as church,bridge or natural: their Commons "
            "category, supercategory, label or natural_or_human_made in "
            "train_label_to_hierarchical.csv; %%2C stands for a comma (default: any)",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "min_side", 0)
        at_least(args, "max_aspect", 1)
        at_least(args, "min_entropy", 0)
        args.filters = Filters(
            min_side=args.min_side,
            max_aspect=args.max_aspect,
            min_entropy=args.min_entropy,
            clean_only=args.clean_only,
            licences=_names(args.licences.split(",")),
            excluded_authors=_names(args.exclude_author),
            categories=_names(args.categories.split(",")),
        )


def _share(text: str) -> float | None:
    """The share of images that validation takes; None for one of each class."""
    if text == "one_per_class":
        return None
    try:
        share = 0.0 if text == "none" else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise UserError(
            f"--validation: expected one_per_class, none or a fraction below 1, found {text!r}"
        )
    return share


def _radius(text: str) -> int | None:
    """Bits; None to go by the files' bytes alone."""
    if text == "none":
        return None
    if text.isdecimal() and int(text) > RADIUS:
        raise UserError(
            f"--near_duplicate_radius: expected at most {RADIUS} bits, found {text}; "
            "beyond, different photos would be joined"
        )
    if not text.isdecimal():
        raise UserError(
            f"--near_duplicate_radius: expected none or 0 to {RADIUS} bits, found {text!r}"
        )
    return int(text)


def _against(text: str) -> tuple[str, ...]:
    """Splits, in one order however they were given."""
    found = set(text.split(",")) if text != "none" else set()
    if not found <= set(duplicates.LEAKS):
        raise UserError(f"--against: expected test, index, test,index or none, found {text!r}")
    return tuple(split for split in duplicates.LEAKS if split in found)


def _names(found: Iterable[str]) -> tuple[str, ...]:
    """Without blanks around them, in one order however they were given."""
    return tuple(sorted({name.strip() for name in found} - {""}))
