"""The flags that name a source and its splits"""

from __future__ import annotations

import argparse

from pipelines.common.cli import at_least
from pipelines.common.errors import UserError
from pipelines.common.schema import SPLITS, STAGED_SPLITS
from pipelines.source.discover import parse_numbers


class SourceOptions:
    """Where photos come from."""

    required = True

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("source")
        group.add_argument(
            "--source",
            required=cls.required,
            metavar="ROOT",
            help="http(s) URL, gs:// or folder in GLDv2's published layout "
            "({split}/images_NNN.tar, md5sum/, metadata/) or in Kaggle's "
            "({split}/a/b/c/<id>.jpg, train.csv)",
        )
        group.add_argument(
            "--archives", metavar="0-4,7", help="take only these tars of each split (default: all)"
        )
        group.add_argument(
            "--limit",
            type=int,
            metavar="N",
            help="take the first N images of each tar and read no further; "
            "its md5 is then not checked",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        args.archives = parse_numbers(args.archives) if args.archives else None
        at_least(args, "limit", 1)


class OptionalSourceOptions(SourceOptions):
    """For commands that can do without."""

    required = False


class SplitsOptions:
    """Which splits, for the commands that prepare."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--split",
            default=",".join(SPLITS),
            help="which splits, separated by commas: train, test, and index, which is downloaded "
            "alone; one that is absent is said and done without (default: %(default)s)",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        args.split = list(dict.fromkeys(args.split.split(",")))
        for split in args.split:
            if split not in STAGED_SPLITS:
                wanted = ",".join(STAGED_SPLITS)
                raise UserError(f"--split: expected some of {wanted}, found {split!r}")
