"""Writes history.csv and curves.png: loss and metrics of each epoch."""

from __future__ import annotations

import csv
import io
import itertools

import keras
import tensorflow as tf

from pipelines.common.plot import png
from trainer import gfile
from trainer.config import METRICS, Row
from trainer.training.checkpoints import WholeEpochs

COLUMNS = ("epoch", "phase", "loss", "accuracy", *METRICS, "seconds")


def read(path: str, epochs: int) -> list[Row]:
    """Reads the rows of the first epochs of history.csv; [] where there is no file.

    Args:
      path: of history.csv.
      epochs: number of epochs before the checkpoint that the run continues from; later rows are
        left out, as those epochs are trained again.
    """
    if not tf.io.gfile.exists(path):
        return []
    rows = csv.DictReader(io.StringIO(gfile.read(path)))
    return [row for row in rows if int(row["epoch"]) <= epochs]


def write(path: str, rows: list[Row]) -> None:
    """Writes history.csv with these rows, in place of the former file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    gfile.write(path, out.getvalue())


class History(keras.callbacks.Callback):
    """A callback that appends a row for each epoch to `rows`, and writes history.csv.

    It has to come after Validation, so that the row has its metrics and includes its time.

    Args:
      path: of history.csv.
      phase: the title of the phase, for the rows.
      rows: the rows of all epochs so far; appended to.
      epochs: the callback that has the time of an epoch.
      chief: whether this host writes.
    """

    def __init__(
        self, path: str, phase: str, rows: list[Row], epochs: WholeEpochs, chief: bool = True
    ) -> None:
        super().__init__()
        self._chief = chief
        self._path = path
        self._phase = phase
        self._rows = rows
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Appends and writes the epoch's row."""
        row = {"epoch": str(epoch + 1), "phase": self._phase}
        row |= {name: f"{value:.6f}" for name, value in (logs or {}).items() if name in COLUMNS}
        row["seconds"] = f"{self._epochs.seconds:.2f}"
        self._rows.append(row)
        if self._chief:
            write(self._path, self._rows)


def draw(path: str, rows: list[Row]) -> None:
    """Draws curves.png: loss on the left; accuracy and GAP on the right."""
    from matplotlib.figure import Figure  # takes a second to import, and is needed only here

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _lines(left, rows, ("loss", "val_loss"))
    _lines(right, rows, ("accuracy", "val_accuracy", "val_gap"))
    right.set_ylim(0, 1.02)
    gfile.write(path, png(figure, dpi=120))


def _lines(axes, rows: list[Row], names: tuple[str, ...]) -> None:
    for name in names:
        points = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=name)
    for before, row in itertools.pairwise(rows):
        if before["phase"] != row["phase"]:
            axes.axvline(int(before["epoch"]) + 0.5, color="grey", linestyle=":")
    axes.set_xlabel("epoch")
    axes.grid(alpha=0.3)
    axes.legend()
