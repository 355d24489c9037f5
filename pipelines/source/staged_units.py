"""Reads the summaries of the units that are staged already."""

from __future__ import annotations

from pipelines.common.paths import Output
from pipelines.source.discover import Source
from pipelines.source.unit import UnitSummary
from pipelines.storage import filesystem


def summaries(output: Output) -> list[UnitSummary]:
    """Returns the summary of every staged unit, in the order of their names."""
    done = filesystem.match(output.done("*"))
    return [filesystem.read_record(UnitSummary, path) for path in done]


def summary(output: Output, unit: str) -> UnitSummary | None:
    """Returns the summary of a unit; None where it is not staged."""
    path = output.done(unit)
    return filesystem.read_record(UnitSummary, path) if filesystem.exists(path) else None


def print_absent(source: Source) -> None:
    """Prints a line for each part that the source lacks and that is optional."""
    for absent in source.absent:
        print(f"{source.root}: found no {absent}; continuing without")
