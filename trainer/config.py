"""Every value of a training run, with its default and the words that --help says about it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pipelines.schema import UserError
from trainer.scaling import COMPOUND

BACKBONES = (
    *(f"efficientnet_b{n}" for n in range(8)),
    COMPOUND,
    "efficientnet_lite0",
    "mobilenet",
    "mobilenet_v2",
    "resnet50",
    "resnet101",
    "resnet152",
    "vgg16",
)
IMAGENET, NO_WEIGHTS = "imagenet", "none"
HEAD, FINE, SCRATCH = "head", "fine", "scratch"

PRETRAINED_EPOCHS = (20, 6)
SCRATCH_EPOCHS = (0, 60)


def _value(default: Any, help_: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": help_})


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of epochs that trains the same variables.

    Attributes:
      name: HEAD (backbone frozen), FINE (all of a pretrained network) or SCRATCH.
      first: epochs that come before it.
      last: epochs that are over when it ends.
      rate: peak learning rate.
    """

    name: str
    first: int
    last: int
    rate: float


@dataclasses.dataclass(frozen=True)
class Config:
    """A run. Rates are given for 32 photos a step and scale with the batch."""

    # What is read and written.
    data: str = _value(
        "",
        "what to train on: a folder with labels.csv and gld2-train.tfrecord-* shards, or the "
        "dataset folder above gld2/<version>/, of which the highest version is taken; local or "
        "gs://",
    )
    job_dir: str = _value(
        "",
        "where everything this run makes goes. The same command again continues where it stopped",
    )

    # The network.
    backbone: str = _value("efficientnet_b0", f"the network: {', '.join(BACKBONES)}")
    alpha: float = _value(
        1.0, "width of mobilenet and mobilenet_v2: 0.35 has about a third of the channels of 1.0"
    )
    phi: float = _value(
        0.0,
        "size of efficientnet: compound scaling of B0 (phi 0) in depth, width and resolution; each "
        "1 more doubles the multiply-adds. 1 has B2's layers, 7 is near B7",
    )
    weights: str = _value(
        IMAGENET,
        "what the backbone starts from: 'imagenet' (downloaded), 'none' (random), or the path of "
        "a no_top weights file of this network",
    )
    image_size: int = _value(224, "side of the square that a photo is resized to, pixels")
    dropout: float = _value(0.2, "share of the features left out at random while training")

    # The schedule.
    batch_size: int = _value(32, "photos a step")
    epochs: tuple[int, ...] = _value(
        (),
        "HEAD,FINE: epochs that train only the new head on a frozen backbone, then epochs that "
        "fine-tune all of it; 0 skips a phase. With --weights none all is trained from the start, "
        "for one number of epochs or the sum of both (default: "
        f"{PRETRAINED_EPOCHS[0]},{PRETRAINED_EPOCHS[1]}, or {sum(SCRATCH_EPOCHS)} with --weights "
        "none)",
    )
    head_rate: float = _value(1e-3, "peak learning rate of the head alone, for 32 photos a step")
    fine_rate: float = _value(1e-4, "peak learning rate of fine-tuning, for 32 photos a step")
    scratch_rate: float = _value(
        2e-3, "peak learning rate from random weights, for 32 photos a step"
    )
    warmup: float = _value(
        0.1, "share of a phase in which the rate climbs from 0, before it falls as a cosine"
    )
    weight_decay: float = _value(
        0.05, "AdamW's decay of kernels, times the learning rate at each step"
    )
    label_smoothing: float = _value(
        0.1, "share of each target spread over all classes, so that doubtful photos score lower"
    )
    bn_momentum: float = _value(
        0.9,
        "momentum of batch normalisation's averages with --weights none; Keras' 0.999 does not "
        "settle in a short run",
    )

    # The input.
    crop: float = _value(
        0.7, "smallest share of a photo that a random training crop keeps; 1 takes it whole"
    )
    colour: float = _value(
        0.2, "how far brightness, contrast and saturation stray, each by up to this factor; 0: off"
    )
    flip: float = _value(0.5, "probability that a training photo is mirrored")
    shuffle_buffer: int = _value(
        4096, "encoded photos held in memory for shuffling; 50 KB each is usual"
    )
    seed: int = _value(0, "fixes initial weights, order, crops and colours")

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", _head_and_fine(self.epochs, self.pretrained))
        _check(self)

    @property
    def pretrained(self) -> bool:
        return self.weights != NO_WEIGHTS

    @property
    def phases(self) -> list[Phase]:
        """The phases that have epochs, in order."""
        scale = self.batch_size / 32
        head, fine = self.epochs
        total = head + fine
        if not self.pretrained:
            return [Phase(SCRATCH, 0, total, self.scratch_rate * scale)]
        phases = [
            Phase(HEAD, 0, head, self.head_rate * scale),
            Phase(FINE, head, total, self.fine_rate * scale),
        ]
        return [phase for phase in phases if phase.last > phase.first]


def _head_and_fine(epochs: tuple[int, ...], pretrained: bool) -> tuple[int, int]:
    """--epochs as given, or its default, as two numbers."""
    given = epochs or (PRETRAINED_EPOCHS if pretrained else SCRATCH_EPOCHS)
    if len(given) == 1 and not pretrained:
        return (0, given[0])
    if len(given) != 2:
        wanted = "HEAD,FINE" if pretrained else "one number, or HEAD,FINE"
        raise UserError(f"--epochs: expected {wanted}, found {','.join(map(str, given))}")
    return (given[0], given[1])


def _check(config: Config) -> None:
    if config.backbone not in BACKBONES:
        raise UserError(f"--backbone {config.backbone}: expected one of {', '.join(BACKBONES)}")
    if config.alpha != 1.0 and not config.backbone.startswith("mobilenet"):
        raise UserError(f"--alpha is for mobilenet and mobilenet_v2, not for {config.backbone}")
    if config.phi != 0.0 and config.backbone != COMPOUND:
        raise UserError(f"--phi is for {COMPOUND}, not for {config.backbone}")
    if min(config.epochs) < 0 or sum(config.epochs) < 1:
        raise UserError(f"--epochs: expected at least one epoch, found {config.epochs}")
    for name, low, high in _BOUNDS:
        value = getattr(config, name)
        if not low <= value <= high:
            raise UserError(f"--{name}: expected {low} to {high}, found {value}")


_BOUNDS = (
    ("alpha", 0.1, 4.0),
    ("phi", -4.0, 8.0),
    ("image_size", 32, 2048),
    ("dropout", 0.0, 0.95),
    ("batch_size", 1, 65536),
    ("head_rate", 0.0, 10.0),
    ("fine_rate", 0.0, 10.0),
    ("scratch_rate", 0.0, 10.0),
    ("warmup", 0.0, 0.9),
    ("weight_decay", 0.0, 10.0),
    ("label_smoothing", 0.0, 0.9),
    ("bn_momentum", 0.0, 0.9999),
    ("crop", 0.05, 1.0),
    ("colour", 0.0, 0.9),
    ("flip", 0.0, 1.0),
    ("shuffle_buffer", 1, 10**9),
    ("seed", 0, 2**31 - 1),
)


def dumps(config: Config, digest: str) -> str:
    """config.json: the run's values, and a digest of the data that it was begun with."""
    return json.dumps({**dataclasses.asdict(config), "data_digest": digest}, indent=2) + "\n"


def differences(old: str, new: str) -> list[str]:
    """What two config.json differ in, of all that changes the outcome: 'seed: 0, now 1'.

    The paths of the data and of the job do not matter: both may be moved.
    """
    before, after = json.loads(old), json.loads(new)
    names = [name for name in {**before, **after} if name not in ("data", "job_dir")]
    return [
        f"{name}: {before.get(name)}, now {after.get(name)}"
        for name in names
        if before.get(name) != after.get(name)
    ]
