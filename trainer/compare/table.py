"""Writes the table of a comparison as CSV, as markdown and as a plot."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.common import tables
from pipelines.common.plot import png


@dataclasses.dataclass(frozen=True)
class Paper:
    """The paper's figures for a network.

    Source: "MobileNet and EfficientNet Demonstration on Google Landmark Recognition Dataset",
    table 1, on a TPU v3-8. Its "accuracy" is the mean probability of the true class over about
    100 test images.

    Attributes:
      hours: duration of training, hours.
      true_probability: the paper's "accuracy".
      gap: Global Average Precision on Kaggle's test set.
    """

    hours: float
    true_probability: float
    gap: float


PAPER = {  # by Row.network
    "efficientnet_b0": Paper(1.5, 0.77, 0.47),
    "mobilenet_v2": Paper(2.6, 0.36, 0.24),
    "resnet50": Paper(2.4, 0.67, 0.47),
}
_SLOW = "vgg16"  # which the paper says a MobileNet is about 3 times as fast as


@dataclasses.dataclass
class Row:
    """A row of the table; a figure that was not measured is None.

    Attributes:
      run: the run's name.
      network: backbone, and ':SIZE' where that is not the default.
      weights: initial weights: 'imagenet', 'none' or the name of a file.
      image_size: side of a photo, pixels.
      pretrained: 'yes' or 'no'.
      batch_size: photos per training step.
      head_epochs: epochs of the classifier alone.
      epochs: epochs of all layers on each dataset, separated by commas.
      device: the devices that speed was measured on.
      split: the split that quality was measured on; '' for none.
      seconds: duration of all epochs, validation included.
      accuracy: share of photos whose best class is right.
      gap: Global Average Precision; gap_public and gap_private are of Kaggle's parts.
      precision, recall: as the table's notes define them.
      mean_true_probability: the paper's "accuracy", over all photos.
      parameters: number of trainable parameters, the classifier included.
      gflops: 1e9 multiply-adds for one photo.
      train_images_per_second: training speed with all layers trainable.
      inference_images_per_second: inference speed.
      problem: why figures are missing, or ''.
    """

    run: str
    network: str
    weights: str
    image_size: int
    pretrained: str | None = None
    batch_size: int | None = None
    head_epochs: int | None = None
    epochs: str | None = None
    device: str | None = None
    split: str | None = None
    seconds: float | None = None
    accuracy: float | None = None
    gap: float | None = None
    gap_public: float | None = None
    gap_private: float | None = None
    precision: float | None = None
    recall: float | None = None
    mean_true_probability: float | None = None
    parameters: int | None = None
    gflops: float | None = None
    train_images_per_second: float | None = None
    inference_images_per_second: float | None = None
    problem: str = ""

    @property
    def paper(self) -> Paper | None:
        """The paper's figures for the network; None where it has none."""
        return PAPER.get(self.network)


_COLUMNS = [field.name for field in dataclasses.fields(Row)]
_PAPER = [field.name for field in dataclasses.fields(Paper)]


def to_csv(rows: Sequence[Row]) -> str:
    """Returns all figures as CSV; the paper's columns begin with 'paper_'."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"paper_{name}" for name in _PAPER)])
    for row in rows:
        own = [_plain(getattr(row, name)) for name in _COLUMNS]
        writer.writerow([*own, *(_plain(getattr(row.paper, name, None)) for name in _PAPER)])
    return out.getvalue()


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def to_markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """Returns the table and its notes as markdown, the paper's figures in brackets."""
    columns = [name for name in _SHOWN if any(_SHOWN[name](row) for row in rows)]
    cells = [[_SHOWN[name](row) for name in columns] for row in rows]
    lines = tables.markdown(columns, cells, padded=True)
    remarks = [*notes, *(f"{row.run}: {row.problem}" for row in rows if row.problem)]
    if any(row.paper for row in rows):
        remarks.append("in brackets: the paper's, trained on a TPU v3-8 and on far more photos")
    remarks += _faster(rows)
    return "\n".join([*lines, "", *(f"- {remark}" for remark in remarks)]) + "\n"


def _number(pattern: str, value: float | None, paper: float | None = None) -> str:
    own = "" if value is None else pattern.format(value)
    return own if paper is None else f"{own or '-'} ({paper:g})"


def _runtime(row: Row) -> str:
    own = _number("{:.1f} min", None if row.seconds is None else row.seconds / 60)
    return f"{own or '-'} ({row.paper.hours:g} h)" if row.paper else own


_SHOWN: dict[str, Callable[[Row], str]] = {
    "run": lambda row: row.run,
    "pretrained": lambda row: row.weights if row.pretrained == "yes" else row.pretrained or "",
    "size": lambda row: str(row.image_size),
    "batch": lambda row: _number("{}", row.batch_size),
    "epochs": lambda row: "" if row.epochs is None else f"{row.head_epochs}+{row.epochs}",
    "runtime": _runtime,
    "top-1": lambda row: _number("{:.4f}", row.accuracy),
    "p(true)": lambda row: _number(
        "{:.4f}", row.mean_true_probability, row.paper.true_probability if row.paper else None
    ),
    "GAP": lambda row: _number("{:.4f}", row.gap, row.paper.gap if row.paper else None),
    "public": lambda row: _number("{:.4f}", row.gap_public),
    "private": lambda row: _number("{:.4f}", row.gap_private),
    "precision": lambda row: _number("{:.4f}", row.precision),
    "recall": lambda row: _number("{:.4f}", row.recall),
    "parameters": lambda row: _number("{:.2f}M", row.parameters and row.parameters / 1e6),
    "GFLOPs": lambda row: _number("{:.3f}", row.gflops),
    "train img/s": lambda row: _number("{:.1f}", row.train_images_per_second),
    "infer img/s": lambda row: _number("{:.1f}", row.inference_images_per_second),
    "": lambda row: "failed" if row.problem else "",
}


def _faster(rows: Sequence[Row]) -> list[str]:
    """Returns notes on how much faster MobileNets are than VGG, a claim of the paper."""
    speeds = {row.network: row.inference_images_per_second for row in rows}
    slow = speeds.get(_SLOW)
    return [
        f"inference: {name} is {speed / slow:.1f} times as fast as {_SLOW} "
        "(the paper says about 3, of a MobileNet)"
        for name, speed in speeds.items()
        if name.startswith("mobilenet") and speed and slow
    ]


def write(folder: str, rows: Sequence[Row], markdown: str) -> None:
    """Writes table1.csv, table1.md and table1.png.

    Args:
      folder: where to.
      rows: of the table.
      markdown: what table1.md holds.
    """
    import tensorflow as tf  # which --help should not wait for

    from trainer import gfile

    tf.io.gfile.makedirs(folder)  # where no run got as far as making it
    gfile.write(f"{folder}/table1.csv", to_csv(rows))
    gfile.write(f"{folder}/table1.md", markdown)
    gfile.write(f"{folder}/table1.png", plot(rows))


_BARS = (
    ("accuracy", "top-1 accuracy", "#4477aa"),
    ("mean_true_probability", "mean probability of the true class", "#ccbb44"),
    ("gap", "GAP", "#228833"),
)
_SPEEDS = (
    ("train_images_per_second", "training", "#aa3377"),
    ("inference_images_per_second", "inference", "#66ccee"),
)


def plot(rows: Sequence[Row]) -> bytes:
    """Plots quality on the left, the paper's figures as diamonds, and speed on the right; PNG."""
    from matplotlib.figure import Figure  # a second to import, and needed only here

    figure = Figure(figsize=(12, 1.6 + 0.7 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, rows, _BARS)
    _diamonds(left, rows)
    left.set_xlim(0, 1.1)
    left.set_yticks(range(len(rows)), [_title(row) for row in rows])
    left.invert_yaxis()
    _bars(right, rows, _SPEEDS)
    right.set_xlabel("photos a second, logarithmic")
    speeds = [getattr(row, name) for row in rows for name, *_ in _SPEEDS if getattr(row, name)]
    if speeds:
        right.set_xscale("log")
        right.set_xlim(min(1, min(speeds) / 2), 2 * max(speeds))
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return png(figure, dpi=120)


def _title(row: Row) -> str:
    return f"{row.run}\nfailed" if row.problem else row.run


def _bars(axes, rows: Sequence[Row], series: Sequence[tuple[str, str, str]]) -> None:
    height = 0.8 / len(series)
    for place, (name, title, colour) in enumerate(series):
        found = [
            (_lane(y, place, len(series)), value)
            for y, row in enumerate(rows)
            if (value := getattr(row, name)) is not None
        ]
        places, values = zip(*found, strict=True) if found else ((), ())
        bars = axes.barh(places, values, height, color=colour, label=title)
        axes.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=8)


def _diamonds(axes, rows: Sequence[Row]) -> None:
    names = [name for name, *_ in _BARS]
    ours = {"mean_true_probability": "true_probability", "gap": "gap"}
    points = [
        (getattr(row.paper, theirs), _lane(y, names.index(mine), len(names)))
        for y, row in enumerate(rows)
        if row.paper
        for mine, theirs in ours.items()
    ]
    if points:
        axes.plot(*zip(*points, strict=True), "kD", markersize=5, label="the paper's")


def _lane(row: int, place: int, series: int) -> float:
    """Returns the position of one bar of a row on the y axis, which runs downwards."""
    return row + (place - (series - 1) / 2) * 0.8 / series
