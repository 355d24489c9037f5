"""Precision and recall of a ranking, drawn. No Beam."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.common.gap import Ranking
from pipelines.common.plot import png

POINTS = 2000  # about as many as there are pixels, of a curve over thresholds
SHARES = np.linspace(0, 1, 6)  # of the predictions, where a threshold is told


def draw(rankings: Mapping[str, Ranking], scores: np.ndarray) -> bytes:
    """Precision over recall, and both over the confidence threshold; PNG.

    Args:
      rankings: of each subset of queries; thresholds are those of the first.
      scores: [predictions] float64 of the first, in rank order.
    """
    figure = Figure(figsize=(11, 4.5))
    figure.subplots_adjust(left=0.06, right=0.97, bottom=0.17, top=0.92, wspace=0.13)
    recall, threshold = figure.subplots(1, 2)
    for name, ranking in rankings.items():
        ends = corners(ranking)
        recall.plot(
            ranking.recall[ends],
            ranking.precision[ends],
            drawstyle="steps-post",
            label=f"{name}: GAP {ranking.gap:.4f}",
        )
    recall.set(title="as the ranking grows", xlabel="recall", ylabel="precision", xlim=(0, 1))
    first = next(iter(rankings))
    _thresholds(threshold, rankings[first], scores)
    threshold.set_title(f"{first}, at a confidence threshold")
    for axes in (recall, threshold):
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")  # to look for the best place takes longer than to draw
    return png(figure)


def corners(ranking: Ranking) -> np.ndarray:
    """The ranks, from 0, where precision turns: in between it falls while recall stays."""
    right = ranking.correct
    return np.flatnonzero(right | np.append(right[1:], True)[: len(right)])


def thresholds(scores: np.ndarray) -> np.ndarray:
    """The last rank, from 0, of each score: a threshold takes all predictions of a score or none.

    Args:
      scores: [predictions] float64, in rank order.
    """
    return np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])


def _thresholds(axes: Axes, ranking: Ranking, scores: np.ndarray) -> None:
    """Over the share of predictions that stay, as scores may be of any size; ticks tell scores."""
    ends = thresholds(scores)
    ends = ends[np.linspace(0, len(ends) - 1, min(len(ends), POINTS)).astype(int)]
    kept = (ends + 1) / max(1, len(scores))
    axes.plot(kept, ranking.precision[ends], label="precision")
    axes.plot(kept, ranking.recall[ends], label="recall")
    places = (SHARES * (len(scores) - 1)).astype(int)
    told = [f"{share:.0%}\n{scores[place]:.4g}" for share, place in zip(SHARES, places, strict=True)
            if len(scores)]  # fmt: skip
    axes.set_xticks(SHARES[: len(told)], told)
    axes.set(xlim=(0, 1), xlabel="predictions that stay, and the lowest score among them")
