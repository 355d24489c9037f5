"""Reads the summaries of the units that are staged already."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.common.errors import UserError
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


def check_complete(output: Output, splits: Iterable[str], allow_incomplete: bool) -> list[str]:
    """Returns the units of some splits that could not be staged, sorted by name.

    A unit that could not be staged has rejects and is not done.

    Raises:
      UserError: there are some, and that is not allowed.
    """
    rejects = filesystem.listing(output.rejects("").rpartition("/")[0])
    tried = {name.removesuffix(".jsonl") for name in rejects if name.endswith(".jsonl")}
    folder, _, ending = output.done("").rpartition("/")
    done = {name.removesuffix(ending) for name in filesystem.listing(folder)}
    missing = sorted(n for n in tried - done if n.startswith(tuple(f"{s}-" for s in splits)))
    if missing and not allow_incomplete:
        raise UserError(
            f"units that are not staged: {len(missing)}, {missing[0]} first; see "
            f"{output.rejects(missing[0])}; gld2 download tries them again, "
            "--allow_incomplete goes on without them"
        )
    return missing


def print_absent(source: Source) -> None:
    """Prints a line for each part that the source lacks and that is optional."""
    for absent in source.absent:
        print(f"{source.root}: found no {absent}; continuing without")
