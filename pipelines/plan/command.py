"""gld2 plan: what all of GLDv2, or of a source like it, takes in hours, bytes and dollars."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipelines.common.cli import Parser, at_least
from pipelines.common.errors import UserError
from pipelines.common.schema import STAGED_SPLITS
from pipelines.imaging.normalize import Normal
from pipelines.plan import calibrate, calibration, markdown, rates
from pipelines.plan.calibration import Calibration
from pipelines.plan.pricing import NETWORKS
from pipelines.plan.stage_costs import PUBLISHED, Split
from pipelines.source import metadata_csv
from pipelines.source.discover import BLOCK, discover
from pipelines.source.unit import Unit
from pipelines.storage import filesystem, streams

UNITS = {"m": 1 / 60, "h": 1.0, "d": 24.0}  # hours
ASKED = 16  # tars whose sizes are asked for at once
EXAMPLES = """\
  # GLDv2 as it is published, within six hours; a photo's cost is measured first
  gld2 plan --deadline 6h --output plan.md

  # another source, other prices, the cost as it was measured before
  gld2 plan --source gs://bucket/landmarks --prices mine.csv --calibration calibration.json
"""


# ---- what there is --------------------------------------------------------------------------


def count(root: str) -> dict[str, Split]:
    """Counts a source: rows of its CSVs, its tars and their sizes.

    Raises:
      UserError: it has no photos, or does not answer.
    """
    source = discover(root, STAGED_SPLITS)
    listings = {"train": source.train_csv, "test": source.test_csv}
    found = {}
    for name in source.splits:
        parts = [part for part in source.parts if part.split == name]
        tars = [part.source for part in parts if isinstance(part, Unit)]
        images = _rows(listings.get(name) or f"{root.rstrip('/')}/metadata/{name}.csv")
        units = len(tars) or -(-images // BLOCK)
        found[name] = Split(images, max(1, units), _bytes(tars) if tars else None)
    return found


def _rows(path: str) -> int:
    return sum(map(len, metadata_csv.ids(path)))


def _bytes(tars: Sequence[str]) -> int | None:
    """Of all of them; None where a server does not say."""
    try:
        with ThreadPoolExecutor(ASKED) as pool:
            sizes = list(pool.map(streams.size, tars))
    except streams.Unreachable as error:
        raise UserError(str(error)) from None
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


# ---- the command ----------------------------------------------------------------------------


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        "plan",
        "What all of GLDv2 takes in bytes, hours, workers and dollars, from what a photo costs on "
        "this machine, the counts of a source and a table of prices. Nothing is prepared.",
        EXAMPLES,
    )
    add = parser.add_argument
    add("--source", metavar="ROOT", help="as for gld2 prepare (default: GLDv2 as published)")
    add("--output", metavar="FILE", help="the plan, as Markdown; it is printed, too")
    add(
        "--deadline",
        default="6h",
        help="for download, curate and shard together, as 90m, 6h or 2d (default: %(default)s)",
    )
    add(
        "--backbone",
        default="resnet50",
        choices=NETWORKS,
        help="which is trained and scores (default: %(default)s)",
    )
    add("--image_size", type=int, help="side of its input, pixels (default: its own)")
    add("--epochs", type=int, default=10, help="over all train photos (default: %(default)s)")
    add(
        "--prices",
        metavar="FILE",
        help="CSV (name,value) or JSON of prices and assumptions; what it lacks stays as the "
        "plan's last table has it",
    )
    _add_cost(parser)
    args = parser.parse_args(argv)
    for flag, least in {"image_size": 32, "epochs": 1, "photos": 100}.items():
        at_least(args, flag, least)
    args.deadline_hours = _hours(args.deadline)
    return args


def _add_cost(parser: argparse.ArgumentParser) -> None:
    """Flags that say where a photo's cost comes from."""
    group = parser.add_argument_group("what a photo costs")
    group.add_argument(
        "--calibration",
        default="calibration.json",
        metavar="FILE",
        help="taken from here, or measured and kept here (default: %(default)s)",
    )
    group.add_argument(
        "--calibrate", metavar="ROOT", help="measure photos of this source (default: drawn ones)"
    )
    group.add_argument(
        "--photos", type=int, default=300, help="so many, about (default: %(default)s)"
    )
    group.add_argument(
        "--staged_size",
        type=int,
        default=Normal.image_size,
        help="--image_size of gld2 prepare (default: %(default)s)",
    )


def _hours(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([mhd])", text)
    if not found or not float(found[1]):
        raise UserError(f"--deadline: expected a time as 90m, 6h or 2d, found {text!r}")
    return float(found[1]) * UNITS[found[2]]


def _calibration(args: argparse.Namespace) -> Calibration:
    if filesystem.exists(args.calibration):
        found = calibration.load(args.calibration)
        if found.image_size != args.staged_size or args.calibrate not in (None, found.source):
            raise UserError(
                f"{args.calibration}: measured on {found.source}, to {found.image_size} pixels; "
                "use the same flags or another --calibration"
            )
        return found
    found = calibrate.measure(args.calibrate, args.photos, args.staged_size)
    calibration.save(found, args.calibration)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    args = _parse(argv)
    known = rates.read(args.prices)
    splits = count(args.source) if args.source else PUBLISHED
    text = markdown.render(args, splits, _calibration(args), known)
    print(text)
    if args.output:
        filesystem.write(args.output, text)
    return 0
