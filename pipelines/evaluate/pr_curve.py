"""Plots precision and recall of a ranking. No Beam."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.common.gap import Ranking
from pipelines.common.plot import png

POINTS = 2000  # of a curve over thresholds: about the number of pixels
SHARES = np.linspace(0, 1, 6)  # of the predictions, at which the threshold is printed


def draw(rankings: Mapping[str, Ranking], scores: np.ndarray) -> bytes:
    """Plots precision over recall, and both over the confidence threshold.

    Args:
      rankings: by the name of the subset of queries; the second plot shows the first of them.
      scores: [predictions] float64 of the first ranking, in rank order.

    Returns:
      PNG.
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
    """Returns the ranks, from 0, between which precision falls while recall stays the same."""
    right = ranking.correct
    return np.flatnonzero(right | np.append(right[1:], True)[: len(right)])


def thresholds(scores: np.ndarray) -> np.ndarray:
    """Returns the last rank, from 0, of each score.

    A threshold accepts either all predictions of the same score or none of them.

    Args:
      scores: [predictions] float64, in rank order.
    """
    return np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])


def _thresholds(axes: Axes, ranking: Ranking, scores: np.ndarray) -> None:
    """Plots over the share of accepted predictions, as scores have any range; ticks show scores."""
    ends = thresholds(scores)
    ends = ends[np.linspace(0, len(ends) - 1, min(len(ends), POINTS)).astype(int)]
    kept = (ends + 1) / max(1, len(scores))
    axes.plot(kept, ranking.precision[ends], label="precision")
    axes.plot(kept, ranking.recall[ends], label="recall")
    ranks = (SHARES * (len(scores) - 1)).astype(int)
    if len(scores):
        ticks = zip(SHARES, scores[ranks], strict=True)
        axes.set_xticks(SHARES, [f"{share:.0%}\n{score:.4g}" for share, score in ticks])
    else:
        axes.set_xticks([])
    axes.set(xlim=(0, 1), xlabel="predictions that stay, and the lowest score among them")
