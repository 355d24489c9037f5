"""Renders a plan as Markdown: counts, costs, the bill, measurements and assumptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipelines.common import tables
from pipelines.plan import pricing, stage_costs
from pipelines.plan.calibration import Calibration
from pipelines.plan.networks import NETWORKS
from pipelines.plan.options import PlanOptions
from pipelines.plan.pricing import Line
from pipelines.plan.rates import Rates
from pipelines.plan.stage_costs import HOUR, SplitCounts, Stage


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yields the lines of a Markdown table and a blank line."""
    yield from tables.markdown(head, rows)
    yield ""


def number(value: float) -> str:
    """Formats a number with three significant digits, or as an integer from 100 up."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def render(
    options: PlanOptions, splits: Mapping[str, SplitCounts], calibration: Calibration, rates: Rates
) -> str:
    """Renders the plan as Markdown; the result depends on nothing but the arguments.

    Args:
      options: what is planned.
      splits: counts of the source.
      calibration: the cost of a photo.
      rates: prices and assumptions.
    """
    _, gmacs = NETWORKS[options.backbone]
    found = stage_costs.stages(splits, calibration, gmacs, rates)
    *prepared, _ = found
    workers = stage_costs.workers_for(prepared, options.deadline_hours, rates)
    used = workers or stage_costs.MAX_WORKERS
    speed = pricing.images_per_second(options.backbone, options.image_size, rates)
    images = splits["train"].images * options.epochs if "train" in splits else 0
    hours = images / speed / HOUR
    return "\n".join(
        [
            "# What it takes",
            "",
            *_counted(splits, options.source, calibration),
            *_staged(found, used, rates),
            _deadline(options, prepared, workers, rates),
            "",
            *_training(options, images, speed, hours),
            *_paid(found, used, hours, rates),
            *_measured(calibration),
            *_assumed(rates),
        ]
    )


def _counted(
    splits: Mapping[str, SplitCounts], source: str | None, calibration: Calibration
) -> Iterator[str]:
    yield f"Counted at {source}:" if source else "As GLDv2 is published (nothing was asked for):"
    yield ""
    rows = (
        (
            name,
            f"{split.images:,}",
            split.units,
            number(stage_costs.fetched_bytes(split, calibration) / 1e9),
        )
        for name, split in splits.items()
    )
    yield from table(("split", "photos", "archives or blocks", "GB to fetch"), rows)


def _staged(found: Sequence[Stage], workers: int, rates: Rates) -> Iterator[str]:
    yield f"## On {_workers(workers)} of {number(rates['worker_vcpus'])} vCPUs"
    yield ""
    hours = ["CPU hours", "vCPU hours", "wall-clock hours"]
    head = ["stage", *hours, "GB in", "GB out", "GB shuffled", "class A", "class B requests"]
    yield from table(head, (_row(stage, workers, rates) for stage in found))
    kept = number(sum(stage.gb_out for stage in found))
    disk = number(workers * rates["worker_disk_gb"])
    yield f"On Cloud Storage lie {kept} GB at the end (were every photo kept); the workers' disks"
    yield f"are {disk} GB together."
    yield ""


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _row(stage: Stage, workers: int, rates: Rates) -> list[str]:
    values = (
        stage.core_hours,
        stage_costs.vcpu_hours(stage, rates),
        stage_costs.wall_hours(stage, workers, rates),
        stage.gb_in,
        stage.gb_out,
        stage.shuffle_gb,
        stage.class_a,
        stage.class_b,
    )
    return [stage.name, *map(number, values)]


def _deadline(
    options: PlanOptions, prepared: Sequence[Stage], workers: int | None, rates: Rates
) -> str:
    most = stage_costs.MAX_WORKERS
    hours = sum(stage_costs.wall_hours(stage, workers or most, rates) for stage in prepared)
    if workers:
        return (
            f"Download, curate and shard take {number(hours)} hours on {_workers(workers)}: "
            f"within {options.deadline}."
        )
    return (
        f"**{options.deadline} cannot be met**: on {most} workers download, curate and shard take "
        f"{number(hours)} hours, as an archive is worked on by one process."
    )


def _training(options: PlanOptions, images: int, speed: float, hours: float) -> Iterator[str]:
    side, gmacs = NETWORKS[options.backbone]
    yield "## Training"
    yield ""
    network = f"{options.backbone} at {options.image_size or side} pixels"
    yield f"{network} ({number(gmacs)} GMAC at {side}),"
    yield f"{options.epochs} epochs of all train photos, {number(images / 1e6)} million in all: at"
    yield f"{number(speed)} images/s, {number(hours)} hours of a TPU v3-8. By multiply-adds alone:"
    yield "depthwise networks reach less."
    yield ""


def _paid(found: Sequence[Stage], workers: int, hours: float, rates: Rates) -> Iterator[str]:
    head = ("for", "quantity", "price", "dollars")
    lines = list(pricing.bill(found, workers, hours, rates))
    total = sum(line.dollars for line in lines)
    others = pricing.alternatives(found, workers, hours, rates)
    yield "## The bill, about"
    yield ""
    yield from table(head, [*_lines(lines, rates), ("**in all**", "", "", f"{total:,.2f}")])
    yield "Instead, or on top:"
    yield ""
    yield from table(head, _lines(others, rates))


def _lines(lines: Iterable[Line], rates: Rates) -> Iterator[tuple[str, ...]]:
    for line in lines:
        price = f"`{line.price}` {rates[line.price]:g}"
        yield line.what, number(line.quantity), price, f"{line.dollars:,.2f}"


def _measured(calibration: Calibration) -> Iterator[str]:
    yield f"## Measured, on {calibration.source}"
    yield ""
    rows = (
        ("photos", calibration.photos),
        ("bytes of a photo as published", number(calibration.source_bytes)),
        (
            f"bytes of it staged, to {calibration.image_size} pixels",
            number(calibration.staged_bytes),
        ),
        ("bytes of its facts", number(calibration.facts_bytes)),
        ("ms of a core to stage it, more where it has more bytes", calibration.stage_ms),
        ("ms of a core to shard it", calibration.shard_ms),
    )
    yield from table(("what", "mean"), rows)


def _assumed(rates: Rates) -> Iterator[str]:
    yield "## Prices, and what is assumed"
    yield ""
    rows = ((name, f"{value:g}", unit, note) for name, (value, unit, note) in rates.rows.items())
    yield from table(("name", "value", "unit", "note"), rows)
