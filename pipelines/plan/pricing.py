"""Computes the speed of training and the bill in dollars. No Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipelines.plan.networks import NETWORKS
from pipelines.plan.stage_costs import Stage, wall_hours


def images_per_second(backbone: str, image_size: int | None, rates: Mapping[str, float]) -> float:
    """Estimates the speed of training on a TPU v3-8, images a second.

    The speed of ResNet-50 is scaled by multiply-adds, which grow with the area of the input.

    Args:
      backbone: a name of NETWORKS.
      image_size: side of the input, pixels; None for the network's own.
      rates: prices and assumptions.
    """
    side, gmacs = NETWORKS[backbone]
    scaled = gmacs * ((image_size or side) / side) ** 2
    return rates["resnet50_v3_8_images_s"] * NETWORKS["resnet50"][1] / scaled


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the bill.

    Attributes:
      what: the thing that is paid for.
      quantity: in the unit of the price.
      price: name of the price in the table of rates.
      dollars: quantity times price.
    """

    what: str
    quantity: float
    price: str
    dollars: float


def bill(
    stages: Sequence[Stage], workers: int, tpu_hours: float, rates: Mapping[str, float]
) -> Iterator[Line]:
    """Yields the lines of the bill for preparing, scoring, training and storage.

    Args:
      stages: all of them; workers are paid from the start of a job to its end.
      workers: number of workers of each job.
      tpu_hours: hours of a TPU v3-8.
      rates: prices and assumptions.
    """
    hours = _worker_hours(stages, workers, rates)
    stored = sum(stage.gb_out for stage in stages) * rates["months"]
    lines = (
        ("Dataflow, vCPU", hours * rates["worker_vcpus"], "dataflow_vcpu_hour"),
        ("Dataflow, memory", hours * rates["worker_gb"], "dataflow_gb_hour"),
        ("Dataflow, disk", hours * rates["worker_disk_gb"], "dataflow_disk_gb_hour"),
        ("Dataflow, shuffle", sum(s.shuffle_gb for s in stages), "dataflow_shuffle_gb"),
        ("Cloud Storage", stored, "storage_gb_month"),
        ("requests that write", sum(s.class_a for s in stages) / 1000, "class_a_1000"),
        ("requests that read", sum(s.class_b for s in stages) / 1000, "class_b_1000"),
        ("TPU v3-8, on demand", tpu_hours, "tpu_v3_8_hour"),
    )
    yield from _priced(lines, rates)


def alternatives(
    stages: Sequence[Stage], workers: int, tpu_hours: float, rates: Mapping[str, float]
) -> Iterator[Line]:
    """Yields lines that replace some of the bill's, or come on top of them.

    Args:
      stages: all of them.
      workers: number of workers of each job.
      tpu_hours: hours of a TPU v3-8.
      rates: prices and assumptions.
    """
    hours = _worker_hours(stages, workers, rates)
    v5e = tpu_hours / rates["v5e_8_of_v3_8"]
    shards = next(stage.gb_out for stage in stages if stage.name == "shard")
    lines = (
        ("TPU v3-8, spot", tpu_hours, "tpu_v3_8_spot_hour"),
        ("eight chips of v5e, on demand", v5e, "tpu_v5e_8_hour"),
        ("eight chips of v5e, spot", v5e, "tpu_v5e_8_spot_hour"),
        ("virtual machines (a Flink of your own) for Dataflow", hours, "n2_standard_4_hour"),
        ("the shards, once out of their region", shards, "egress_gb"),
    )
    yield from _priced(lines, rates)


def _worker_hours(stages: Sequence[Stage], workers: int, rates: Mapping[str, float]) -> float:
    """Returns the hours of all workers together, from the start of each job to its end."""
    return workers * sum(wall_hours(stage, workers, rates) for stage in stages)


def _priced(lines: Iterable[tuple[str, float, str]], rates: Mapping[str, float]) -> Iterator[Line]:
    """Yields the lines of a bill from what is paid for, its quantity and the price's name."""
    for what, quantity, price in lines:
        yield Line(what, quantity, price, quantity * rates[price])
