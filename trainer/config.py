"""The configuration of a training run: each value with its default, bounds and help text."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Options, fields, flag
from trainer.compound_scaling import COMPOUND, resolution
from trainer.presets import PRESETS

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
UNPUBLISHED = (COMPOUND, "efficientnet_lite0")  # Keras has no ImageNet weights for these
HEAD, FINE, SCRATCH = "head", "fine", "scratch"
SOFTMAX, ARCFACE = "softmax", "arcface"
AUTO, ON, OFF = "auto", "on", "off"

MANY_CLASSES = 50_000  # with at least as many, --shard_head auto splits the head over the devices

LOGITS = "logits"  # name of the classifier's layer
# A head that is split over devices is padded to a multiple of this many columns; it can be split
# over any number of devices that divides it.
COLUMNS = 64

METRICS = (
    "val_loss",
    "val_accuracy",
    "val_gap",
    "val_precision",
    "val_recall",
    "val_true_probability",
)

Row = dict[str, str]  # a row of history.csv, by column


@dataclasses.dataclass(frozen=True)
class Phase:
    """A range of epochs that train the same variables on the same dataset.

    Attributes:
      name: HEAD (backbone frozen), FINE (all of a pretrained network) or SCRATCH.
      first: number of epochs before the phase.
      last: number of epochs that are over when the phase ends.
      rate: peak learning rate, for 32 photos a step.
      dataset: index into --data of the dataset to train on.
    """

    name: str
    first: int
    last: int
    rate: float
    dataset: int = 0

    @property
    def title(self) -> str:
        """The name in history.csv: 'fine', or 'fine 2' on the second dataset."""
        return f"{self.name} {self.dataset + 1}" if self.dataset else self.name


@dataclasses.dataclass(frozen=True)
class Config(Options):
    """The configuration of a run; learning rates are for 32 photos a step and scale with the batch.

    Each field is a flag of `gld2 train`, described by its help text.
    """

    # Input and output.
    data: tuple[str, ...] = flag(
        (),
        "the dataset: a folder with labels.csv and gld2-train.tfrecord-* shards, or the folder "
        "above gld2/<version>/, of which the highest version is used; local or gs://. Several, "
        "separated by commas, are trained on one after another: CLEAN,FULL",
        metavar="FOLDER[,FOLDER]",
        needed=True,
    )
    job_dir: str = flag(
        "",
        "folder for all files of this run. The same command again continues where the run stopped",
        metavar="FOLDER",
        needed=True,
    )
    preset: str = flag(
        "", "set of values for flags that are not given, see 'presets' below; '' for the defaults"
    )

    # The network.
    backbone: str = flag(
        "efficientnet_b0",
        f"the network: {', '.join(BACKBONES)}",
        metavar="NAME",
        choices=BACKBONES,
    )
    alpha: float = flag(
        1.0,
        "width multiplier of mobilenet and mobilenet_v2: 0.35 has about a third of 1.0's channels",
        least=0.1,
        most=4.0,
    )
    phi: float = flag(
        0.0,
        "size of efficientnet: compound scaling of B0 (phi 0) in depth, width and resolution; an "
        "increase by 1 doubles the multiply-adds. 1 has B2's layers, 7 is near B7",
        least=-4.0,
        most=8.0,
    )
    weights: str = flag(
        IMAGENET,
        "initial weights of the backbone: 'imagenet' (downloaded), 'none' (random), or the path of "
        "a no_top weights file of this network",
    )
    image_size: int = flag(
        0,
        "side of the square that a photo is resized to, pixels; 0: the network's native size "
        "(224, and 240 to 600 for efficientnet_b1 to b7)",
        least=32,
        most=2048,
    )
    pooling: str = flag(
        "average", "how the feature map is pooled to a vector", choices=("average", "gem")
    )
    embedding: int = flag(
        0,
        "size of a projection between pooling and classifier; 0: no projection",
        least=0,
        most=8192,
    )
    dropout: float = flag(
        0.2, "share of the features dropped at random in training", least=0.0, most=0.95
    )
    head: str = flag(
        SOFTMAX,
        "the classifier: 'softmax' is linear; 'arcface' uses cosines, with a margin between the "
        "classes",
        choices=(SOFTMAX, ARCFACE),
    )
    subcentres: int = flag(
        1, "sub-centres (directions) of each class with --head arcface", least=1, most=10
    )
    arcface_scale: float = flag(
        30.0,
        "factor on the cosines of --head arcface that gives the logits",
        least=1.0,
        most=1000.0,
    )
    margin: tuple[float, ...] = flag(
        (0.3,),
        "angular margin, radians, between the classes of --head arcface; with LOW,HIGH the largest "
        "class has LOW and the smallest HIGH",
        metavar="X[,X]",
    )
    shard_head: str = flag(
        AUTO,
        "whether the classifier's weights are split over the devices (JAX) or copied to each; "
        f"auto: split from {MANY_CLASSES:,} classes on",
        choices=(AUTO, ON, OFF),
    )

    # The schedule.
    batch_size: int = flag(32, "photos a step, over all devices and hosts", least=1, most=65536)
    head_epochs: int = flag(
        20,
        "epochs on the first of --data that train only the new head, with the backbone frozen; "
        "always 0 with --weights none",
        least=0,
        most=10**6,
    )
    epochs: tuple[int, ...] = flag(
        (),
        "epochs that train all layers: one number for each of --data, as in 3,1 (default: 6 on the "
        "first, or 60 with --weights none, and 1 on each other)",
        metavar="N[,N]",
    )
    head_rate: float = flag(
        1e-3,
        "peak learning rate while only the head is trained, for 32 photos a step",
        least=0.0,
        most=10.0,
    )
    fine_rate: float = flag(
        1e-4, "peak learning rate of fine-tuning, for 32 photos a step", least=0.0, most=10.0
    )
    scratch_rate: float = flag(
        2e-3, "peak learning rate from random weights, for 32 photos a step", least=0.0, most=10.0
    )
    warmup: float = flag(
        0.1,
        "share of a phase's steps in which the rate rises from 0; then it decays as a cosine",
        least=0.0,
        most=0.9,
    )
    weight_decay: float = flag(
        0.05,
        "AdamW's weight decay of kernels; it is multiplied by the learning rate",
        least=0.0,
        most=10.0,
    )
    label_smoothing: float = flag(
        0.1,
        "share of each target spread over all classes; it lowers the scores of doubtful photos",
        least=0.0,
        most=0.9,
    )
    mixup: float = flag(
        0.0,
        "Beta parameter of mixup, which blends each photo and label with another; 0: no mixup",
        least=0.0,
        most=10.0,
    )
    class_balance: float = flag(
        0.0,
        "how often a class is seen: 0 in proportion to its photos, 1 as often as any other, 0.5 in "
        "proportion to the square root of its photos",
        least=0.0,
        most=1.0,
    )
    bn_momentum: float = flag(
        0.9,
        "momentum of batch normalisation's moving averages with --weights none; Keras' 0.999 does "
        "not converge in a short run",
        least=0.0,
        most=0.9999,
    )

    # The input.
    crop: float = flag(
        0.7,
        "smallest share of a photo's area that a random training crop keeps; 1: no crop",
        least=0.05,
        most=1.0,
    )
    color_jitter: float = flag(
        0.2,
        "brightness, contrast and saturation are each multiplied by 1 +- up to this; 0: unchanged",
        least=0.0,
        most=0.9,
        old_names=["colour"],
    )
    flip: float = flag(0.5, "probability that a training photo is mirrored", least=0.0, most=1.0)
    shuffle_buffer: int = flag(
        4096,
        "number of encoded photos held in memory for shuffling; 50 KB each is usual",
        least=1,
        most=10**9,
    )
    cache: str = flag(
        "",
        "local folder to which shards are copied before they are read; for --data on gs://",
        metavar="FOLDER",
    )
    seed: int = flag(
        0, "seed of initial weights, order, crops and colours", least=0, most=2**31 - 1
    )

    # The machine.
    device: str = flag(
        AUTO,
        "device to compute on. tpu uses Keras' JAX backend, the others TensorFlow's, unless "
        "KERAS_BACKEND is set; auto: a TPU where there is one, else a GPU, else the CPU",
        choices=(AUTO, "cpu", "gpu", "tpu"),
    )
    precision: str = flag(
        AUTO,
        "number type that the backbone computes in; weights are float32. auto: bfloat16 on a TPU",
        choices=(AUTO, "float32", "bfloat16"),
    )
    checkpoint_every: int = flag(
        1000,
        "number of steps between two checkpoints within an epoch; 0: only after each epoch",
        least=0,
        most=10**9,
    )

    def __post_init__(self) -> None:
        if not self.image_size and self.backbone in BACKBONES:
            phi = max(-4.0, min(self.phi, 8.0))  # bounds are checked below
            object.__setattr__(self, "image_size", resolution(self.backbone, phi))
        object.__setattr__(self, "epochs", _epochs(self))
        if not self.pretrained:
            object.__setattr__(self, "head_epochs", 0)
        super().__post_init__()
        _check(self)

    @property
    def pretrained(self) -> bool:
        """Whether the backbone starts from trained weights."""
        return self.weights != NO_WEIGHTS

    @property
    def phases(self) -> list[Phase]:
        """The phases that have at least one epoch, in order."""
        name, rate = (FINE, self.fine_rate) if self.pretrained else (SCRATCH, self.scratch_rate)
        phases = [Phase(HEAD, 0, self.head_epochs, self.head_rate)]
        for dataset, epochs in enumerate(self.epochs):
            first = phases[-1].last
            phases.append(Phase(name, first, first + epochs, rate, dataset))
        return [phase for phase in phases if phase.last > phase.first]


def _epochs(config: Config) -> tuple[int, ...]:
    """Returns --epochs as given, or its default: a number for each dataset."""
    datasets = max(len(config.data), 1)
    epochs = config.epochs or (6 if config.pretrained else 60, *[1] * (datasets - 1))
    if len(epochs) != datasets:
        raise UserError(
            f"--epochs {','.join(map(str, epochs))}: expected {datasets}, a number for each of "
            "--data (epochs of the head alone are --head_epochs)"
        )
    return tuple(epochs)


def _check(config: Config) -> None:
    if config.alpha != 1.0 and not config.backbone.startswith("mobilenet"):
        raise UserError(f"--alpha is for mobilenet and mobilenet_v2, not for {config.backbone}")
    if config.phi != 0.0 and config.backbone != COMPOUND:
        raise UserError(f"--phi is for {COMPOUND}, not for {config.backbone}")
    if min(config.epochs) < 0 or sum(config.epochs) + config.head_epochs < 1:
        raise UserError(
            f"--epochs: expected at least one epoch in all, none below 0, found {config.epochs}"
        )
    if config.subcentres > 1 and config.head != ARCFACE:
        raise UserError("--subcentres is for --head arcface")
    if config.mixup and config.head == ARCFACE:
        raise UserError("--mixup is for --head softmax: a margin needs one true class")
    if len(config.margin) not in (1, 2) or not all(0 <= m <= 1 for m in config.margin):
        raise UserError(f"--margin: expected one or two numbers from 0 to 1, found {config.margin}")
    if config.preset and config.preset not in PRESETS:
        raise UserError(f"--preset {config.preset}: expected one of {', '.join(PRESETS)}")
    if config.weights == IMAGENET and config.backbone in UNPUBLISHED:
        raise UserError(
            f"--weights imagenet: none are published for {config.backbone}; give --weights none or "
            "the path of a file"
        )


# Values that may change when a run is continued: they do not affect its outcome.
_MOVABLE = ("data", "job_dir", "preset", "cache", "device", "checkpoint_every")


def dumps(config: Config, digest: str) -> str:
    """Returns the text of config.json: the run's values, and the digest of its datasets."""
    return json.dumps({**dataclasses.asdict(config), "data_digest": digest}, indent=2) + "\n"


def differences(old: str, new: str) -> list[str]:
    """Lists the differences of two config.json that affect the outcome, as 'seed: 0, now 1'.

    Args:
      old: text of the file that the run was started with.
      new: text of the file that it would be continued with.
    """
    before, after = _with_new_names(json.loads(old)), json.loads(new)
    names = [name for name in {**before, **after} if name not in _MOVABLE]
    return [
        f"{name}: {before.get(name)}, now {after.get(name)}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _with_new_names(values: dict[str, Any]) -> dict[str, Any]:
    """Renames values that an earlier version wrote under a flag's old name."""
    names = {old: name for name, found in fields(Config) for old in found.old_names}
    return {names.get(name, name): value for name, value in values.items()}
