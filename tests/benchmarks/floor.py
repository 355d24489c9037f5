"""The ratios of all benchmarks beside those that are committed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from tests.benchmarks.costs import spread

LEAST = 0.75  # of the committed ratio
Committed = Mapping[str, Mapping[str, float]]  # by benchmark and name


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one benchmark gave.

    Attributes:
      ratios: each by its name, of every round; higher is better.
      seconds: that it took.
      skipped: why it was, if it was.
      failed: the end of what it printed, if it failed.
    """

    ratios: Mapping[str, list[float]] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    skipped: str = ""
    failed: str = ""

    @property
    def medians(self) -> dict[str, float]:
        return {name: round(float(np.median(values)), 3) for name, values in self.ratios.items()}


def complaints(outcomes: Mapping[str, Outcome], committed: Committed) -> Iterator[str]:
    """Yields what is wrong: ratios that fell too far, that are missing or new, failures."""
    for benchmark, outcome in outcomes.items():
        if outcome.failed:
            yield f"{benchmark} failed:\n{outcome.failed}"
        elif not outcome.skipped:
            floor = committed.get(benchmark, {})
            yield from (f"{benchmark}: {line}" for line in _wrong(outcome.medians, floor))


def _wrong(found: Mapping[str, float], floor: Mapping[str, float]) -> Iterator[str]:
    for name, was in floor.items():
        if name not in found:
            yield f"{name}: committed ({was}), and not measured"
        elif not found[name] >= LEAST * was:  # NaN is wrong too
            yield f"{name}: fell to {found[name]}, below {LEAST} of the committed {was}"
    for name in found.keys() - floor.keys():
        yield f"{name}: {found[name]}, and none is committed; --update does that"


def table(outcomes: Mapping[str, Outcome], committed: Committed) -> str:
    rows = ["| benchmark | s | ratio | median (range) | committed | of it |", "|---" * 6 + "|"]
    for benchmark, outcome in outcomes.items():
        took = f"{benchmark} | {outcome.seconds:.0f}"
        if not outcome.ratios:
            rows.append(f"| {took} | {outcome.skipped or 'failed'} | | | |")
        for name, median in outcome.medians.items():
            was = committed.get(benchmark, {}).get(name)
            beside = f"{was} | {median / was:.2f}" if was else " |"
            rows.append(f"| {took} | {name} | {spread(outcome.ratios[name], '.3f')} | {beside} |")
    return "\n".join(rows)


def updated(outcomes: Mapping[str, Outcome], committed: Committed) -> dict[str, dict[str, float]]:
    """What to commit: of those that were measured their ratios, of the others what was."""
    measured = {name: outcome.medians for name, outcome in outcomes.items() if outcome.ratios}
    merged = {name: dict(ratios) for name, ratios in committed.items()} | measured
    return dict(sorted(merged.items()))
