"""The flags of gld2 shard"""

from __future__ import annotations

import argparse

from pipelines.common.cli import at_least
from pipelines.common.errors import UserError


class ShardOptions:
    """The shape of the dataset."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("shard")
        group.add_argument(
            "--shard_size_mb",
            type=int,
            default=200,
            help="about how large a shard is (default: %(default)s)",
        )
        group.add_argument(
            "--num_shards",
            type=int,
            help="shards of each split, whatever their size (default: by --shard_size_mb)",
        )
        group.add_argument(
            "--with_attribution",
            action="store_true",
            help="put url, author, license and title of each train photo into its record, as a "
            "CC-BY licence asks of those who pass photos on; needs --source with "
            "metadata/train_attribution.csv",
        )
        group.add_argument(
            "--version",
            default="1.0.0",
            help="the dataset's version folder; other flags want another version "
            "(default: %(default)s)",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "shard_size_mb", 1)
        at_least(args, "num_shards", 1)
        numbers = args.version.split(".")
        if len(numbers) != 3 or not all(n.isdecimal() and n.isascii() for n in numbers):
            raise UserError(f"--version: expected three numbers as 1.0.0, found {args.version!r}")
