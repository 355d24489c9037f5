"""Which runs a comparison has, from its flags."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import PurePosixPath

from pipelines.common.errors import UserError
from trainer import task
from trainer.config import IMAGENET, NO_WEIGHTS, Config

# The flag that sets a network's size; those that have none take 1.0 alone.
_SIZES = {"efficientnet": "phi"}
_ALPHA = "alpha"


@dataclasses.dataclass(frozen=True)
class Run:
    """A row of the table.

    Attributes:
      name: its folder in the comparison's, and what it is called.
      network: backbone, and ':SIZE' where that is not its default.
      settings: of `gld2 train`.
      trains: whether it is trained, or there for its speed alone; then it has no folder.
    """

    name: str
    network: str
    settings: Config
    trains: bool = True


@dataclasses.dataclass(frozen=True)
class Entry:
    """NAME[:SIZE][=WEIGHTS] in parts; those that were not given are ''."""

    backbone: str
    size: str
    weights: str

    def flags(self) -> list[str]:
        """For `gld2 train`."""
        found = ["--backbone", self.backbone]
        if self.size:
            found += [f"--{_SIZES.get(self.backbone, _ALPHA)}", self.size]
        return [*found, "--weights", self.weights] if self.weights else found


def entry(text: str) -> Entry:
    """Reads one of --backbones.

    Raises:
      UserError: a part is empty.
    """
    network, equals, weights = text.strip().partition("=")
    backbone, colon, size = network.partition(":")
    if not backbone or (colon and not size) or (equals and not weights):
        raise UserError(f"{text!r}: expected NAME, NAME:SIZE, NAME=WEIGHTS or NAME:SIZE=WEIGHTS")
    return Entry(backbone, size, weights)


def runs(
    job_dir: str, backbones: str, batch_sizes: str, epochs: str, passed: list[str]
) -> list[Run]:
    """A run for each backbone and each setting of the sweep.

    Args:
      job_dir: the comparison's folder.
      backbones: as --backbones has it.
      batch_sizes: '16,32', or '' for no sweep.
      epochs: '3/6', or with two datasets '3,1/6,1'; or ''.
      passed: flags of `gld2 train` for each run.

    Raises:
      UserError: flags that `gld2 train` would refuse, or two runs of one name.
    """
    sweep = itertools.product(
        map(entry, backbones.split(",")), batch_sizes.split(","), re.split("[/;]", epochs)
    )
    found = []
    for one, batch, length in sweep:
        swept = {"batch_size": batch, "epochs": length}
        given = [f"--{name}={value}" for name, value in swept.items() if value]
        found.append(_run(job_dir, task.parse([*passed, *one.flags(), *given]), swept))
    names = [run.name for run in found]
    again = next((name for name in names if names.count(name) > 1), None)
    if again:
        raise UserError(f"{again}: expected runs that differ, found {names.count(again)} of these")
    return found


def speeds(backbones: str, passed: list[str]) -> list[Run]:
    """Networks whose speed alone is asked for."""
    entries = [
        dataclasses.replace(entry(text), weights=NO_WEIGHTS) for text in backbones.split(",")
    ]
    found = [task.parse([*passed, *one.flags()]) for one in entries]
    return [Run(_network(settings), _network(settings), settings, False) for settings in found]


def _run(job_dir: str, settings: Config, swept: dict[str, str]) -> Run:
    parts = [_network(settings).replace(":", "-")]
    if settings.weights != IMAGENET:
        parts.append(re.sub(r"[^\w.-]", "_", weights_name(settings).removesuffix(".h5")))
    parts += [f"{name}_{value.replace(',', '_')}" for name, value in swept.items() if value]
    name = "-".join(parts)
    return Run(name, _network(settings), dataclasses.replace(settings, job_dir=f"{job_dir}/{name}"))


def weights_name(settings: Config) -> str:
    """'imagenet', 'none' or the name of a file."""
    return PurePosixPath(settings.weights).name


def _network(settings: Config) -> str:
    flag = _SIZES.get(settings.backbone, _ALPHA)
    default = next(f.default for f in dataclasses.fields(Config) if f.name == flag)
    size = getattr(settings, flag)
    return settings.backbone if size == default else f"{settings.backbone}:{size:g}"
