"""Runs gld2 inspect: shows an overview of a dataset, and verifies it on request."""

from __future__ import annotations

import os

from pipelines.common.errors import UserError
from pipelines.inspection import verify
from pipelines.inspection.options import InspectOptions
from pipelines.inspection.overview import draw, print_summary
from pipelines.inspection.version_folder import find_version, load_version


def inspect(options: InspectOptions) -> int:
    """Prints an overview of a dataset, writes its pictures and lists its faults.

    Returns:
      the number of faults.

    Raises:
      UserError: there is no dataset, or `output` is a folder in it.
    """
    folder = find_version(options.dataset)
    _check_output(options.output, folder)
    stats, labels = load_version(folder)
    print_summary(folder, stats, labels)
    draw(folder, stats, labels, options.output, options.seed)
    if options.verify:
        faults, records = verify.verify(folder, stats, labels, options.workers)
        done = f"{records} records verified"
    else:
        faults = verify.check_files(folder, stats)
        done = "no record verified (--verify does that)"
    print_faults(faults)
    print(f"inspect: {done}: {_totals(faults)}")
    return faults.counts.total()


def print_faults(faults: verify.Faults) -> None:
    """Prints the first few faults of each kind, and how many more there are."""
    for kind, lines in sorted(faults.named.items()):
        for line in lines:
            print(f"inspect: {line}")
        if more := faults.counts[kind] - len(lines):
            print(f"inspect: {kind}: {more} more")


def _totals(faults: verify.Faults) -> str:
    counts = ", ".join(f"{kind} {number}" for kind, number in sorted(faults.counts.items()))
    return f"{faults.counts.total()} faults ({counts})" if counts else "nothing is wrong"


def _check_output(output: str, folder: str) -> None:
    """Raises UserError for an output folder in the dataset: its pictures would be faults there."""
    inner, outer = (path if "://" in path else os.path.realpath(path) for path in (output, folder))
    if f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/"):
        raise UserError(f"--output {output}: expected a folder outside the dataset {folder}")
