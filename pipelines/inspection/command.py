"""A look at a dataset: counts, class sizes, some photos; or every byte of it, verified."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from collections.abc import Sequence

from pipelines.common import quiet
from pipelines.common.cli import Parser, at_least
from pipelines.common.errors import UserError
from pipelines.common.labels import Label, parse_labels
from pipelines.common.options import SeedOptions
from pipelines.common.paths import join
from pipelines.common.schema import DATASET, OUTPUT_SPLITS
from pipelines.common.stats import STATS, Stats
from pipelines.inspection import verify
from pipelines.inspection.overview import draw, show
from pipelines.storage import filesystem

EXAMPLES = """\
examples:
  gld2 inspect OUT/dataset                      # counts, classes.png and photos.jpg
  gld2 inspect OUT/dataset/gld2/1.0.0 --verify  # and every CRC, JPEG, label and sum
  gld2 inspect gs://bucket/gld2/dataset --output look --seed 7

What is wrong is told a line each, with the file and, from 0, the record's number in it. Behind
a length that is garbled the next frame is searched for, and what lies between counts as one.
"""
VERSION = re.compile(r"\d+(\.\d+)*\Z")


def find(dataset: str) -> str:
    """The version folder: `dataset` itself, or the newest version in it, as the trainer has it.

    Raises:
      UserError: there is none.
    """
    dataset = dataset.rstrip("/") or "/"
    if filesystem.exists(join(dataset, "labels.csv")):
        return dataset
    for parent in (dataset, join(dataset, DATASET)):
        found = [path.rpartition("/")[0] for path in filesystem.match(f"{parent}/*/labels.csv")]
        found = [folder for folder in found if VERSION.match(folder.rpartition("/")[2])]
        if found:
            return max(found, key=_numbers)
    raise UserError(f"{dataset}: expected {DATASET}/<version>/labels.csv in it; run gld2 shard")


def _numbers(folder: str) -> list[int]:
    return [int(number) for number in folder.rpartition("/")[2].split(".")]


def load(folder: str) -> tuple[Stats, list[Label]]:
    """stats.json, its splits in the usual order, and labels.csv of a version.

    Raises:
      UserError: one of them cannot be read.
    """
    path = join(folder, "labels.csv")
    labels = parse_labels(filesystem.read(path).decode("utf-8", "replace"), path)
    stats = filesystem.read_record(Stats, join(folder, STATS))
    splits = {name: stats.splits[name] for name in OUTPUT_SPLITS if name in stats.splits}
    return dataclasses.replace(stats, splits=splits), labels


# ---- the command ----------------------------------------------------------------------------


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


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        "inspect",
        "Look at a dataset: counts, class sizes, a contact sheet of random records; "
        "with --verify, at every byte of it. Exits with 1 where something is wrong.",
        EXAMPLES,
    )
    parser.add_argument(
        "dataset", metavar="DATASET", help="OUT/dataset (its newest version), or a version folder"
    )
    parser.add_argument(
        "--output",
        default="inspect",
        help="folder for classes.png and photos.jpg, outside the dataset (default: %(default)s)",
    )
    SeedOptions.add_arguments(parser)
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read all: every CRC, whether each photo decodes, each label and id, all sums",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes that verify (default: the cores of this machine)",
    )
    args = parser.parse_args(argv)
    SeedOptions.check(args)
    at_least(args, "workers", 1)
    quiet.beam()
    return args


def _check_output(output: str, folder: str) -> None:
    """A picture among the shards would be a foreign file."""
    inner, outer = (path if "://" in path else os.path.realpath(path) for path in (output, folder))
    if f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/"):
        raise UserError(f"--output {output}: expected a folder outside the dataset {folder}")


def main(argv: Sequence[str] | None = None) -> int:
    args = _parse(argv)
    folder = find(args.dataset)
    _check_output(args.output, folder)
    stats, labels = load(folder)
    show(folder, stats, labels)
    draw(folder, stats, labels, args.output, args.seed)
    if args.verify:
        faults, records = verify.verify(folder, stats, labels, args.workers)
        done = f"{records} records verified"
    else:
        faults, done = verify.look(folder, stats), "no record verified (--verify does)"
    tell(faults)
    print(f"inspect: {done}: {_verdict(faults)}")
    return 1 if faults.counts else 0
