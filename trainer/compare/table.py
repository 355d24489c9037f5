"""Table 1 as CSV and as Markdown, and its three files."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.common import tables
from trainer.compare.chart import plot
from trainer.compare.rows import Paper, Row

_SLOW = "vgg16"  # which the paper says a MobileNet is about 3 times as fast as
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
