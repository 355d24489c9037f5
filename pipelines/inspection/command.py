"""A look at a dataset: counts, class sizes, some photos; or every byte of it, verified."""

from __future__ import annotations

import argparse
import concurrent.futures
import io
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipelines.common import quiet, schema
from pipelines.common.cli import Parser, at_least
from pipelines.common.schema import DATASET, OUTPUT_SPLITS, Label, UserError
from pipelines.imaging import contact_sheet
from pipelines.inspection import tfrecord_scan, verify
from pipelines.runner.options import SeedOptions
from pipelines.storage import filesystem, ranged_reads

EXAMPLES = """\
examples:
  gld2 inspect OUT/dataset                      # counts, classes.png and photos.jpg
  gld2 inspect OUT/dataset/gld2/1.0.0 --verify  # and every CRC, JPEG, label and sum
  gld2 inspect gs://bucket/gld2/dataset --output look --seed 7

What is wrong is told a line each, with the file and, from 0, the record's number in it. Behind
a length that is garbled the next frame is searched for, and what lies between counts as one.
"""
VERSION = re.compile(r"\d+(\.\d+)*\Z")
TILES = 2 * contact_sheet.COLUMNS  # photos of each split
TRIES = 3 * TILES  # two places may lead to the same photo


def find(dataset: str) -> str:
    """The version folder: `dataset` itself, or the newest version in it, as the trainer has it.

    Raises:
      UserError: there is none.
    """
    dataset = dataset.rstrip("/") or "/"
    if filesystem.exists(filesystem.join(dataset, "labels.csv")):
        return dataset
    for parent in (dataset, filesystem.join(dataset, DATASET)):
        found = [path.rpartition("/")[0] for path in filesystem.match(f"{parent}/*/labels.csv")]
        found = [folder for folder in found if VERSION.match(folder.rpartition("/")[2])]
        if found:
            return max(found, key=_numbers)
    raise UserError(f"{dataset}: expected {DATASET}/<version>/labels.csv in it; run gld2 shard")


def _numbers(folder: str) -> list[int]:
    return [int(number) for number in folder.rpartition("/")[2].split(".")]


def load(folder: str) -> tuple[dict[str, Any], list[Label]]:
    """stats.json and labels.csv of a version.

    Raises:
      UserError: one of them cannot be read.
    """
    path = filesystem.join(folder, "labels.csv")
    labels = schema.parse_labels(filesystem.read(path).decode("utf-8", "replace"), path)
    path = filesystem.join(folder, "stats.json")
    stats = filesystem.read_json(path)
    try:
        splits = {name: stats["splits"][name] for name in OUTPUT_SPLITS if name in stats["splits"]}
        for counts in splits.values():
            [int(counts[name]) for name in ("images", "shards", "bytes")]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = "expected splits with their images, shards and bytes"
        raise UserError(f"{path}: {what}, found {error!r}") from None
    return stats | {"splits": splits}, labels


# ---- a look ---------------------------------------------------------------------------------


def show(folder: str, stats: dict[str, Any], labels: list[Label]) -> None:
    """Prints what is in a version of a dataset."""
    print(f"inspect: {folder}")
    for name, split in stats["splits"].items():
        print(
            f"inspect: {name}: {split['images']} images in {split['shards']} shards, "
            f"{split['bytes'] / 1e6:.1f} MB"
        )
    if labels:
        first, last = (pick(labels, key=lambda label: label.images) for pick in (max, min))
        print(
            f"inspect: {len(labels)} landmarks, from {first.images} images (landmark "
            f"{first.landmark_id}) to {last.images} (landmark {last.landmark_id})"
        )
    if "mean" in stats:
        print(
            f"inspect: channels from 0 to 1: mean {stats['mean']}, standard deviation "
            f"{stats['std']} (of {stats.get('channels_of', 'some')} photos)"
        )


def classes_plot(labels: list[Label]) -> bytes:
    """Images of each class, the largest first, on log axes; PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    images = np.sort([label.images for label in labels])[::-1]
    axes.plot(np.arange(1, len(images) + 1), images, marker=".")
    axes.set(xscale="log", yscale="log", xlabel="landmarks, largest first", ylabel="images")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter(LogFormatter())
    axes.grid(alpha=0.3, which="both")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()


def photos_sheet(folder: str, stats: dict[str, Any], seed: int) -> bytes | None:
    """A contact sheet of some photos of each split; None where there is none to show.

    Little more than those photos is read: the seed chooses places in shards, and the frame that
    follows a place is shown.
    """
    rng = np.random.default_rng(seed)
    there = verify.shards(folder, stats)
    groups = []
    for split in stats["splits"]:
        mine = [name for name in there if verify.split_of(name) == split]
        if tiles := _tiles(folder, mine, split, rng):
            groups.append(tiles)
    return contact_sheet.draw(groups) if groups else None


def _tiles(
    folder: str, names: list[str], split: str, rng: np.random.Generator
) -> list[contact_sheet.Tile]:
    if not names:
        return []
    paths = [filesystem.join(folder, names[n]) for n in rng.integers(len(names), size=TRIES)]
    with concurrent.futures.ThreadPoolExecutor(ranged_reads.READERS) as pool:
        found = pool.map(tfrecord_scan.near, paths, rng.random(TRIES))
        records = dict.fromkeys(frame.record for frame in found if frame)
    return [tile for record in records if record for tile in _tile(record, split)][:TILES]


def _tile(data: bytes, split: str) -> Iterator[contact_sheet.Tile]:
    """One tile, or none where the photo cannot be shown."""
    faults = verify.Faults()
    record = verify.parse(data, "", faults)
    if record:
        verify.photo(record, "", faults)
    if record and not faults.counts["photo"]:
        label, landmark = record.get(schema.LABEL), record.get(schema.LANDMARK_ID)
        whose = f"{split} photo" if label is None else f"landmark {landmark!r}"
        where = "" if label is None else f"{split}, label {label!r}"
        name = record[schema.IMAGE_ID].decode("utf-8", "replace")  # type: ignore[union-attr]
        yield contact_sheet.Tile(record[schema.ENCODED], (name, whose, where))  # type: ignore[arg-type]


def draw(folder: str, stats: dict[str, Any], labels: list[Label], output: str, seed: int) -> None:
    """Writes the pictures, and says where they are."""
    photos = photos_sheet(folder, stats, seed)
    pictures = {"classes.png": classes_plot(labels) if labels else None, "photos.jpg": photos}
    for name, data in pictures.items():
        path = filesystem.join(output, name)
        if data:
            filesystem.write(path, data)
        print(f"inspect: {path}{'' if data else ': there is nothing to show'}")


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
