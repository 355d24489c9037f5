"""A plan as a page of Markdown: what is counted, what it takes, what is measured and assumed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipelines.common import tables
from pipelines.plan import pricing, stage_costs
from pipelines.plan.calibration import Calibration
from pipelines.plan.pricing import NETWORKS, Line
from pipelines.plan.rates import Rates
from pipelines.plan.stage_costs import HOUR, Split, Stage


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines of a table and, last, a blank one."""
    yield from tables.markdown(head, rows)
    yield ""


def number(value: float) -> str:
    """Three digits that count, and no more."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def render(
    args: argparse.Namespace, splits: Mapping[str, Split], per: Calibration, known: Rates
) -> str:
    """The plan, as Markdown; the same for the same arguments."""
    _, gmacs = NETWORKS[args.backbone]
    found = stage_costs.stages(splits, per, gmacs, known)
    *prepared, _ = found
    workers = stage_costs.workers_for(prepared, args.deadline_hours, known)
    used = workers or stage_costs.MAX_WORKERS
    speed = pricing.images_per_second(args.backbone, args.image_size, known)
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


def _counted(splits: Mapping[str, Split], source: str | None, per: Calibration) -> Iterator[str]:
    yield f"Counted at {source}:" if source else "As GLDv2 is published (nothing was asked for):"
    yield ""
    rows = (
        (
            name,
            f"{split.images:,}",
            split.units,
            number(stage_costs.fetched_bytes(split, per) / 1e9),
        )
        for name, split in splits.items()
    )
    yield from table(("split", "photos", "archives or blocks", "GB to fetch"), rows)


def _staged(found: Sequence[Stage], workers: int, known: Rates) -> Iterator[str]:
    yield f"## On {_workers(workers)} of {number(known['worker_vcpus'])} vCPUs"
    yield ""
    hours = ["CPU hours", "vCPU hours", "wall-clock hours"]
    head = ["stage", *hours, "GB in", "GB out", "GB shuffled", "class A", "class B requests"]
    yield from table(head, (_row(stage, workers, known) for stage in found))
    kept = number(sum(stage.gb_out for stage in found))
    disk = number(workers * known["worker_disk_gb"])
    yield f"On Cloud Storage lie {kept} GB at the end (were every photo kept); the workers' disks"
    yield f"are {disk} GB together."
    yield ""


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _row(stage: Stage, workers: int, known: Rates) -> list[str]:
    values = (
        stage.core_hours,
        stage_costs.vcpu_hours(stage, known),
        stage_costs.wall_hours(stage, workers, known),
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
    most = stage_costs.MAX_WORKERS
    hours = sum(stage_costs.wall_hours(stage, workers or most, known) for stage in prepared)
    if workers:
        return (
            f"Download, curate and shard take {number(hours)} hours on {_workers(workers)}: "
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
    lines = list(pricing.bill(found, workers, hours, known))
    total = sum(line.dollars for line in lines)
    others = pricing.alternatives(found, workers, hours, known)
    yield "## The bill, about"
    yield ""
    yield from table(head, [*_lines(lines, known), ("**in all**", "", "", f"{total:,.2f}")])
    yield "Instead, or on top:"
    yield ""
    yield from table(head, _lines(others, known))


def _lines(lines: Iterable[Line], known: Rates) -> Iterator[tuple[str, ...]]:
    for line in lines:
        price = f"`{line.price}` {known[line.price]:g}"
        yield line.what, number(line.quantity), price, f"{line.dollars:,.2f}"


def _measured(per: Calibration) -> Iterator[str]:
    yield f"## Measured, on {per.source}"
    yield ""
    rows = (
        ("photos", per.photos),
        ("bytes of a photo as published", number(per.source_bytes)),
        (f"bytes of it staged, to {per.image_size} pixels", number(per.staged_bytes)),
        ("bytes of its facts", number(per.facts_bytes)),
        ("ms of a core to stage it, more where it has more bytes", per.stage_ms),
        ("ms of a core to shard it", per.shard_ms),
    )
    yield from table(("what", "mean"), rows)


def _assumed(known: Rates) -> Iterator[str]:
    yield "## Prices, and what is assumed"
    yield ""
    rows = ((name, f"{value:g}", unit, note) for name, (value, unit, note) in known.rows.items())
    yield from table(("name", "value", "unit", "note"), rows)
