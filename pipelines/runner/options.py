"""The flags of each command, checked before a graph is built. Beam's own flags pass through."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Protocol

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
)

from pipelines.common import quiet
from pipelines.common.cli import Parser as Parser
from pipelines.common.cli import at_least
from pipelines.common.schema import SPLITS, STAGED_SPLITS, UserError
from pipelines.curate.options import CurateOptions as CurateOptions
from pipelines.curate.options import FilterOptions as FilterOptions
from pipelines.download.rate_limit import Politeness
from pipelines.imaging.normalize import Normal
from pipelines.source.discover import parse_numbers
from pipelines.source.unit import Effort, Parameters

# The engine that DirectRunner ends up with on a laptop; by that name, Beam would
# first try to download another one.
LAPTOP = "FnApiRunner"

BEAM_NOTE = """\
Beam's own flags pass through: --runner=DataflowRunner --project=... --region=...
--temp_location=gs://..., --runner=FlinkRunner, --direct_num_workers=2, and so on.
"""


class Options(Protocol):
    """Some flags: how they are declared, and what makes their values good."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None: ...

    @classmethod
    def check(cls, args: argparse.Namespace) -> None: ...


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


class OutputOptions:
    """Where results go."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--output", required=True, metavar="OUT", help="folder or gs:// for what the run makes"
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        args.output = args.output.rstrip("/") or "/"


class FetchOptions:
    """How photos are fetched."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("fetch")
        group.add_argument(
            "--max_bytes",
            type=int,
            default=Parameters.max_bytes,
            help="reject a source file that is larger (default: %(default)s)",
        )
        group.add_argument(
            "--attempts",
            type=int,
            default=Effort.attempts,
            help="fetches of a tar whose md5 is wrong before it is given up (default: %(default)s)",
        )
        group.add_argument(
            "--threads",
            type=int,
            help="that decode, in each worker process (default: the cores of this machine, "
            "divided by --direct_num_workers)",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "attempts", 1)
        at_least(args, "threads", 1)
        at_least(args, "max_bytes", 1)


class UrlOptions:
    """Photos from the URLs of train.csv, fetched politely."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("URLs")
        group.add_argument(
            "--from_urls",
            action="store_true",
            help="fetch train from the url column of train.csv, not from tars",
        )
        group.add_argument(
            "--contact",
            default="",
            help="an e-mail address or web page that goes into the User-Agent; required with "
            "--from_urls, so that a server's owner can complain before it bans you",
        )
        group.add_argument(
            "--requests_per_second",
            type=float,
            default=Politeness.requests_per_second,
            help="to each host, over all workers together (default: %(default)s)",
        )
        group.add_argument(
            "--lanes",
            type=int,
            default=1,
            help="worker processes that share that limit; Wikimedia wants at most two requests "
            "at a time (default: %(default)s)",
        )
        group.add_argument(
            "--trusted_hosts",
            default="",
            metavar="HOST:PORT,...",
            help="hosts that may have a private address, such as a mirror of your own; "
            "all others with one are refused",
        )
        group.add_argument(
            "--retry_rejected",
            action="store_true",
            help="try again, in units that are done, what was rejected for a passing reason",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "lanes", 1)
        args.politeness = None
        if args.from_urls:
            args.politeness = Politeness(
                contact=args.contact,
                requests_per_second=args.requests_per_second,
                lanes=args.lanes,
                trusted_hosts=frozenset(h for h in args.trusted_hosts.split(",") if h),
            )
            if args.archives:
                raise UserError("--archives: expected tars, but --from_urls takes none")


class NormalOptions:
    """How photos are made normal."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("photos")
        group.add_argument(
            "--image_size",
            type=int,
            default=Normal.image_size,
            help="bound of the longest side in pixels; 0 keeps the original (default: %(default)s)",
        )
        group.add_argument(
            "--quality",
            type=int,
            default=Normal.quality,
            help="of the JPEG encoder (default: %(default)s)",
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        args.normal = Normal(args.image_size, args.quality)


class SeedOptions:
    """What chance hangs on."""

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--seed", type=int, default=0, help="of every choice and order (default: %(default)s)"
        )

    @classmethod
    def check(cls, args: argparse.Namespace) -> None:
        at_least(args, "seed", 0)


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


def parse(
    command: str,
    description: str,
    examples: str,
    groups: Sequence[type[Options]],
    argv: Sequence[str] | None,
) -> tuple[argparse.Namespace, PipelineOptions]:
    """Parses and checks a command's flags.

    Args:
      command: its name, for usage and errors.
      description: what it does, first in --help.
      examples: command lines, last in --help.
      groups: the options classes that it takes.
      argv: flags; None for the process's.

    Returns:
      our flags, and Beam's.

    Raises:
      UserError: an unknown flag, or a value that makes no sense.
    """
    parser = Parser(command, description, f"{BEAM_NOTE}\nexamples:\n{examples}")
    for group in groups:
        group.add_arguments(parser)
    args, rest = parser.parse_known_args(argv)
    unknown = _unknown_to_beam(rest)
    if unknown:
        parser.error(f"unknown flag: {' '.join(unknown)}")
    for group in groups:
        group.check(args)
    quiet.beam()
    return args, _with_defaults(PipelineOptions(rest))


def threads(args: argparse.Namespace, beam_options: PipelineOptions) -> int:
    """Decoding threads for each worker process."""
    workers = beam_options.view_as(DirectOptions).direct_num_workers or os.cpu_count() or 1
    return args.threads or max(1, (os.cpu_count() or 1) // workers)


def _with_defaults(options: PipelineOptions) -> PipelineOptions:
    standard = options.view_as(StandardOptions)
    if not standard.runner:
        standard.runner = LAPTOP
    setup = options.view_as(SetupOptions)
    if setup.save_main_session is None:  # else Beam saves one on Dataflow; workers get the package
        setup.save_main_session = False
    return options


def _unknown_to_beam(flags: list[str]) -> list[str]:
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(known)  # type: ignore[arg-type]
    return known.parse_known_args(flags)[1]
