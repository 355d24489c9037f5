"""Plans the runs of a comparison from its flags."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import PurePosixPath

from pipelines.common.errors import UserError
from trainer import task
from trainer.compound_scaling import COMPOUND
from trainer.config import IMAGENET, NO_WEIGHTS, Config

# Backbone -> the flag that sets its size; for all others it is --alpha, which is 1.0 where a
# network has one size only.
_SIZES = {COMPOUND: "phi"}
_ALPHA = "alpha"


@dataclasses.dataclass(frozen=True)
class ComparisonRun:
    """A run of a comparison, which becomes a row of its table.

    Attributes:
      name: the run's name, and that of its folder in the comparison's folder.
      network: backbone, and ':SIZE' where that is not its default.
      settings: the configuration of `gld2 train`.
      trains: whether it is trained; else only its speed is measured, and it has no folder.
    """

    name: str
    network: str
    settings: Config
    trains: bool = True


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of --backbones, NAME[:SIZE][=WEIGHTS]; parts that are not given are ''.

    Attributes:
      backbone: NAME.
      size: SIZE, the value of --alpha or --phi.
      weights: WEIGHTS, the value of --weights.
    """

    backbone: str
    size: str
    weights: str

    def flags(self) -> list[str]:
        """Returns the flags of `gld2 train` that stand for this entry."""
        found = ["--backbone", self.backbone]
        if self.size:
            found += [f"--{_SIZES.get(self.backbone, _ALPHA)}", self.size]
        return [*found, "--weights", self.weights] if self.weights else found


def parse_entry(text: str) -> Entry:
    """Parses one entry of --backbones.

    Raises:
      UserError: a part is empty.
    """
    network, equals, weights = text.strip().partition("=")
    backbone, colon, size = network.partition(":")
    if not backbone or (colon and not size) or (equals and not weights):
        raise UserError(f"{text!r}: expected NAME, NAME:SIZE, NAME=WEIGHTS or NAME:SIZE=WEIGHTS")
    return Entry(backbone, size, weights)


def plan_runs(
    job_dir: str, backbones: str, batch_sizes: str, epochs: str, passed: list[str]
) -> list[ComparisonRun]:
    """Returns a run for each combination of backbone, batch size and epochs.

    Args:
      job_dir: the comparison's folder.
      backbones: the value of --backbones.
      batch_sizes: as in '16,32'; '' for the default alone.
      epochs: as in '3/6', or with two datasets '3,1/6,1'; '' for the default alone.
      passed: flags of `gld2 train` for all runs.

    Raises:
      UserError: `gld2 train` would refuse the flags, or two runs have the same name.
    """
    sweep = itertools.product(
        map(parse_entry, backbones.split(",")), batch_sizes.split(","), re.split("[/;]", epochs)
    )
    found = []
    for one, batch, length in sweep:
        swept = {"batch_size": batch, "epochs": length}
        given = [f"--{name}={value}" for name, value in swept.items() if value]
        found.append(_run(job_dir, task.parse([*passed, *one.flags(), *given]), swept))
    names = [run.name for run in found]
    again = next((name for name in names if names.count(name) > 1), None)
    if again:
        raise UserError(
            f"{again}: expected runs of different names, found {names.count(again)} of this"
        )
    return found


def plan_speed_runs(backbones: str, passed: list[str]) -> list[ComparisonRun]:
    """Returns a run without training for each network whose speed is measured.

    Raises:
      UserError: `gld2 train` would refuse the flags.
    """
    entries = [
        dataclasses.replace(parse_entry(text), weights=NO_WEIGHTS) for text in backbones.split(",")
    ]
    found = [task.parse([*passed, *one.flags()]) for one in entries]
    return [
        ComparisonRun(_network(settings), _network(settings), settings, False) for settings in found
    ]


def _run(job_dir: str, settings: Config, swept: dict[str, str]) -> ComparisonRun:
    parts = [_network(settings).replace(":", "-")]
    if settings.weights != IMAGENET:
        parts.append(re.sub(r"[^\w.-]", "_", weights_name(settings).removesuffix(".h5")))
    parts += [f"{name}_{value.replace(',', '_')}" for name, value in swept.items() if value]
    name = "-".join(parts)
    return ComparisonRun(
        name, _network(settings), dataclasses.replace(settings, job_dir=f"{job_dir}/{name}")
    )


def weights_name(settings: Config) -> str:
    """Returns 'imagenet', 'none' or the name of the weights file, without its folder."""
    return PurePosixPath(settings.weights).name


def _network(settings: Config) -> str:
    flag = _SIZES.get(settings.backbone, _ALPHA)
    size = getattr(settings, flag)
    return settings.backbone if size == getattr(Config, flag) else f"{settings.backbone}:{size:g}"
