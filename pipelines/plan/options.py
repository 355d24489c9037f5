"""The flags of gld2 plan."""

from __future__ import annotations

import dataclasses
import re

from pipelines.common.options import Options, flag, group
from pipelines.imaging.config import NormalizationConfig
from pipelines.plan.networks import NETWORKS

UNITS = {"m": 1 / 60, "h": 1.0, "d": 24.0}  # hours


def hours(text: str) -> float:
    """Returns the hours that a time as 90m, 6h or 2d has.

    Raises:
      ValueError: the text has another form, or is no time at all.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([mhd])", text)
    if not found or not float(found[1]):
        raise ValueError(f"expected a time as 90m, 6h or 2d, found {text!r}")
    return float(found[1]) * UNITS[found[2]]


def parse_time(text: str) -> str:
    """Returns a time that `hours` understands, as it was written.

    Raises:
      ValueError: the text has another form.
    """
    hours(text)
    return text


@dataclasses.dataclass(frozen=True)
class CostOptions(Options):
    """Where a photo's cost comes from."""

    calibration: str = flag(
        "calibration.json", "taken from here, or measured and kept here", metavar="FILE"
    )
    calibrate: str | None = flag(
        None, "measure photos of this source (default: drawn ones)", metavar="ROOT"
    )
    photos: int = flag(300, "so many, about", least=100)
    staged_size: int = flag(NormalizationConfig.image_size, "--image_size of gld2 prepare")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanOptions(Options):
    """What is planned, and at which prices."""

    source: str | None = flag(
        None, "as for gld2 prepare (default: GLDv2 as published)", metavar="ROOT"
    )
    output: str | None = flag(None, "the plan, as Markdown; it is printed, too", metavar="FILE")
    deadline: str = flag(
        "6h", "for download, curate and shard together, as 90m, 6h or 2d", parse=parse_time
    )
    backbone: str = flag("resnet50", "which is trained and scores", choices=tuple(NETWORKS))
    image_size: int | None = flag(None, "side of its input, pixels (default: its own)", least=32)
    epochs: int = flag(10, "over all train photos", least=1)
    prices: str | None = flag(
        None,
        "CSV (name,value) or JSON of prices and assumptions; what it lacks stays as the plan's "
        "last table has it",
        metavar="FILE",
    )
    cost: CostOptions = group("what a photo costs")

    @property
    def deadline_hours(self) -> float:
        """The deadline in hours."""
        return hours(self.deadline)
