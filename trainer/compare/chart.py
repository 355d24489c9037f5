"""Table 1 as a picture: bars of quality, time and speed, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.common.plot import png
from trainer.compare.rows import Row

_BARS = (
    ("accuracy", "top-1 accuracy", "#4477aa"),
    ("mean_true_probability", "mean probability of the true class", "#ccbb44"),
    ("gap", "GAP", "#228833"),
)
_FILLED = 0.8  # share of a row's height that its bars take
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
    height = _FILLED / len(series)
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
    return row + (place - (series - 1) / 2) * _FILLED / series
