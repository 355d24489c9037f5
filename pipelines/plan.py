"""gld2 plan: what all of GLDv2, or of a source like it, takes in hours, bytes and dollars."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipelines import calibrate, estimate, fetch, files, metadata, rates
from pipelines.calibrate import Calibration
from pipelines.estimate import HOUR, NETWORKS, PUBLISHED, Split, Stage
from pipelines.flags import Parser, at_least
from pipelines.images import Normal
from pipelines.rates import Rates
from pipelines.schema import STAGED_SPLITS, UserError
from pipelines.source import BLOCK, discover
from pipelines.unit import Unit

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
    return sum(map(len, metadata.ids(path)))


def _bytes(tars: Sequence[str]) -> int | None:
    """Of all of them; None where a server does not say."""
    try:
        with ThreadPoolExecutor(ASKED) as pool:
            sizes = list(pool.map(fetch.size, tars))
    except fetch.Unreachable as error:
        raise UserError(str(error)) from None
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


# ---- what is told ---------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines of Markdown; a blank one comes last."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"
    yield ""


def number(value: float) -> str:
    """Three digits that count, and no more."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def render(
    args: argparse.Namespace, splits: dict[str, Split], per: Calibration, known: Rates
) -> str:
    """The plan, as Markdown; the same for the same arguments."""
    _, gmacs = NETWORKS[args.backbone]
    found = estimate.stages(splits, per, gmacs, known)
    *prepared, _ = found
    workers = estimate.workers_for(prepared, args.deadline_hours, known)
    used = workers or estimate.MAX_WORKERS
    speed = estimate.images_per_second(args.backbone, args.image_size, known)
    images = splits["train"].images * args.epochs if "train" in splits else 0
    hours = images / speed / HOUR
    return "\n".join(
        [
            "# What it takes",
            "",
            *_counted(splits, args.source, per),
            *_staged(found, used, known),
            _deadline(args, prepared, workers, known),
            "",
            *_training(args, images, speed, hours),
            *_paid(found, used, hours, known),
            *_measured(per),
            *_assumed(known),
        ]
    )


def _counted(splits: dict[str, Split], source: str | None, per: Calibration) -> Iterator[str]:
    yield f"Counted at {source}:" if source else "As GLDv2 is published (nothing was asked for):"
    yield ""
    rows = (
        (name, f"{split.images:,}", split.units, number(estimate.fetched_bytes(split, per) / 1e9))
        for name, split in splits.items()
    )
    yield from table(("split", "photos", "archives or blocks", "GB to fetch"), rows)


def _staged(found: Sequence[Stage], workers: int, known: Rates) -> Iterator[str]:
    yield f"## On {workers} workers of {number(known['worker_vcpus'])} vCPUs"
    yield ""
    hours = ["CPU hours", "vCPU hours", "wall-clock hours"]
    head = ["stage", *hours, "GB in", "GB out", "GB shuffled", "class A", "class B requests"]
    yield from table(head, (_row(stage, workers, known) for stage in found))
    kept = number(sum(stage.gb_out for stage in found))
    disk = number(workers * known["worker_disk_gb"])
    yield f"On Cloud Storage lie {kept} GB at the end (were every photo kept); the workers' disks"
    yield f"are {disk} GB together."
    yield ""


def _row(stage: Stage, workers: int, known: Rates) -> list[str]:
    values = (
        stage.core_hours,
        estimate.vcpu_hours(stage, known),
        estimate.wall_hours(stage, workers, known),
        stage.gb_in,
        stage.gb_out,
        stage.shuffle_gb,
        stage.class_a,
        stage.class_b,
    )
    return [stage.name, *map(number, values)]


def _deadline(
    args: argparse.Namespace, prepared: Sequence[Stage], workers: int | None, known: Rates
) -> str:
    most = estimate.MAX_WORKERS
    hours = sum(estimate.wall_hours(stage, workers or most, known) for stage in prepared)
    if workers:
        return (
            f"Download, curate and shard take {number(hours)} hours on {workers} workers: "
            f"within {args.deadline}."
        )
    return (
        f"**{args.deadline} cannot be met**: on {most} workers download, curate and shard take "
        f"{number(hours)} hours, as an archive is worked on by one process."
    )


def _training(args: argparse.Namespace, images: int, speed: float, hours: float) -> Iterator[str]:
    side, gmacs = NETWORKS[args.backbone]
    yield "## Training"
    yield ""
    yield f"{args.backbone} at {args.image_size or side} pixels ({number(gmacs)} GMAC at {side}),"
    yield f"{args.epochs} epochs of all train photos, {number(images / 1e6)} million in all: at"
    yield f"{number(speed)} images/s, {number(hours)} hours of a TPU v3-8. By multiply-adds alone:"
    yield "depthwise networks reach less."
    yield ""


def _paid(found: Sequence[Stage], workers: int, hours: float, known: Rates) -> Iterator[str]:
    head = ("for", "quantity", "price", "dollars")
    lines = list(estimate.bill(found, workers, hours, known))
    others = estimate.alternatives(found, workers, hours, known)
    yield "## The bill, about"
    yield ""
    for some in (lines, others):
        rows = [
            (line.what, number(line.quantity), f"`{line.price}` {known[line.price]:g}",
             f"{line.dollars:,.2f}")
            for line in some
        ]  # fmt: skip
        if some is lines:
            rows.append(("**in all**", "", "", f"{sum(line.dollars for line in lines):,.2f}"))
        yield from table(head, rows)
        if some is lines:
            yield "Instead, or on top:"
            yield ""


def _measured(per: Calibration) -> Iterator[str]:
    yield f"## Measured, on {per.source}"
    yield ""
    rows = (
        ("photos", per.photos),
        ("bytes of a photo as published", number(per.source_bytes)),
        (f"bytes of it staged, to {per.image_size} pixels", number(per.staged_bytes)),
        ("bytes of its facts", number(per.facts_bytes)),
        ("ms of a core to stage it", per.stage_ms),
        ("ms of a core to shard it", per.shard_ms),
    )
    yield from table(("what", "mean"), rows)


def _assumed(known: Rates) -> Iterator[str]:
    yield "## Prices, and what is assumed"
    yield ""
    rows = ((name, f"{value:g}", unit, note) for name, (value, unit, note) in known.rows.items())
    yield from table(("name", "value", "unit", "note"), rows)


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
    args = parser.parse_args(argv)
    for flag, least in {"image_size": 32, "epochs": 1, "photos": 100}.items():
        at_least(args, flag, least)
    args.deadline_hours = _hours(args.deadline)
    return args


def _hours(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([mhd])", text)
    if not found or not float(found[1]):
        raise UserError(f"--deadline: expected a time as 90m, 6h or 2d, found {text!r}")
    return float(found[1]) * UNITS[found[2]]


def _calibration(args: argparse.Namespace) -> Calibration:
    if files.exists(args.calibration):
        found = calibrate.load(args.calibration)
        if found.image_size != args.staged_size or args.calibrate not in (None, found.source):
            raise UserError(
                f"{args.calibration}: measured on {found.source}, to {found.image_size} pixels; "
                "use the same flags or another --calibration"
            )
        return found
    found = calibrate.measure(args.calibrate, args.photos, args.staged_size)
    calibrate.save(found, args.calibration)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    args = _parse(argv)
    known = rates.read(args.prices)
    splits = count(args.source) if args.source else PUBLISHED
    text = render(args, splits, _calibration(args), known)
    print(text)
    if args.output:
        files.write(args.output, text)
    return 0
