"""The flags of gld2 download"""

from __future__ import annotations

import argparse

from pipelines.common.cli import at_least
from pipelines.common.errors import UserError
from pipelines.download.effort import Effort
from pipelines.download.rate_limit import Politeness
from pipelines.imaging.normalize import Normal
from pipelines.source.unit import Parameters


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
