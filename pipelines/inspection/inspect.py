"""A look at a dataset, or all of it verified: what gld2 inspect prints and writes."""

from __future__ import annotations

import os

from pipelines.common.errors import UserError
from pipelines.inspection import verify
from pipelines.inspection.options import InspectOptions
from pipelines.inspection.overview import draw, show
from pipelines.inspection.version_folder import find, load


def inspect(options: InspectOptions) -> int:
    """Looks at a dataset; prints and writes what is found.

    Returns:
      how many faults there are.

    Raises:
      UserError: there is no dataset, or the pictures would lie in it.
    """
    folder = find(options.dataset)
    _check_output(options.output, folder)
    stats, labels = load(folder)
    show(folder, stats, labels)
    draw(folder, stats, labels, options.output, options.seed)
    if options.verify:
        faults, records = verify.verify(folder, stats, labels, options.workers)
        done = f"{records} records verified"
    else:
        faults, done = verify.look(folder, stats), "no record verified (--verify does)"
    tell(faults)
    print(f"inspect: {done}: {_verdict(faults)}")
    return faults.counts.total()


def tell(faults: verify.Faults) -> None:
    """Prints what is wrong: the first few of each kind, and how many there are."""
    for kind, lines in sorted(faults.named.items()):
        for line in lines:
            print(f"inspect: {line}")
        if more := faults.counts[kind] - len(lines):
            print(f"inspect: {kind}: {more} more")


def _verdict(faults: verify.Faults) -> str:
    counts = ", ".join(f"{kind} {number}" for kind, number in sorted(faults.counts.items()))
    return f"{faults.counts.total()} faults ({counts})" if counts else "nothing is wrong"


def _check_output(output: str, folder: str) -> None:
    """A picture among the shards would be a foreign file."""
    inner, outer = (path if "://" in path else os.path.realpath(path) for path in (output, folder))
    if f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/"):
        raise UserError(f"--output {output}: expected a folder outside the dataset {folder}")
