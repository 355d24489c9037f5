"""The flags of gld2 plan."""

from __future__ import annotations

import dataclasses
import re

from pipelines.common.options.flags import Options, flag, group
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.plan.networks import NETWORKS

UNITS = {"m": 1 / 60, "h": 1.0, "d": 24.0}  # hours


def hours(text: str) -> float:
    """Converts a time such as 90m, 6h or 2d to hours.

    Raises:
      ValueError: the text has another form, or the time is 0.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([mhd])", text)
    if not found or not float(found[1]):
        raise ValueError(f"expected a time such as 90m, 6h or 2d, found {text!r}")
    return float(found[1]) * UNITS[found[2]]


def parse_time(text: str) -> str:
    """Checks a time such as 90m, 6h or 2d, and returns the text unchanged.

    Raises:
      ValueError: the text has another form.
    """
    hours(text)
    return text


@dataclasses.dataclass(frozen=True)
class CostOptions(Options):
    """The flags of how the cost of a photo is found.

    Attributes:
      calibration: file that the measured cost is read from, or written to.
      calibrate: source whose photos are measured; None for generated ones.
      photos: how many photos are measured, about.
      staged_size: bound of the longest side of a staged photo, pixels.
    """

    calibration: str = flag(
        "calibration.json",
        "file of the measured cost: read if it is there, else measured and written",
        metavar="FILE",
    )
    calibrate: str | None = flag(
        None, "measure photos of this source (default: generated photos)", metavar="ROOT"
    )
    photos: int = flag(300, "measure about so many photos, at least 100", least=100)
    staged_size: int = flag(
        NormalizationConfig.image_size, "bound of the longest side: --image_size of gld2 prepare"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanOptions(Options):
    """The flags of gld2 plan.

    Attributes:
      source: root of the photos; None for GLDv2 as published.
      output: file that the plan is written to; None to print it only.
      deadline: for download, curate and shard together, such as 6h.
      backbone: name of the network that is trained and scores.
      image_size: side of its input, pixels; None for its default.
      epochs: over all train photos.
      prices: file that overrides prices and assumptions; None for none.
      cost: how the cost of a photo is found.
    """

    source: str | None = flag(
        None, "--source of gld2 prepare (default: GLDv2 as published)", metavar="ROOT"
    )
    output: str | None = flag(
        None, "file for the plan, as Markdown; it is printed in any case", metavar="FILE"
    )
    deadline: str = flag(
        "6h",
        "time for download, curate and shard together, such as 90m, 6h or 2d",
        parse=parse_time,
    )
    backbone: str = flag(
        "resnet50", "the network that is trained and scores", choices=tuple(NETWORKS)
    )
    image_size: int | None = flag(
        None, "side of the network's input in pixels (default: the network's own)", least=32
    )
    epochs: int = flag(10, "over all train photos", least=1)
    prices: str | None = flag(
        None,
        "CSV (name,value) or JSON file that overrides prices and assumptions of the plan's last "
        "table",
        metavar="FILE",
    )
    cost: CostOptions = group("the cost of a photo")

    @property
    def deadline_hours(self) -> float:
        """Returns the deadline in hours."""
        return hours(self.deadline)
