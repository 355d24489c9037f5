"""A look at a dataset: counts, class sizes, some photos; or every byte of it, verified."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines import example, files, layout, schema, sheet, tfrecord, verify
from pipelines.options import Parser
from pipelines.schema import DATASET, Label, UserError

EXAMPLES = """\
examples:
  gld2 inspect OUT/dataset                      # counts, classes.png and photos.jpg
  gld2 inspect OUT/dataset/gld2/1.0.0 --verify  # every CRC, JPEG, label and sum
  gld2 inspect gs://bucket/gld2/dataset --output look --seed 7
"""
TILES = 48
SHARDS = 8  # that tiles are taken from
AHEAD = 64  # records of a shard that tiles are chosen from: they lie in no particular order


def find(dataset: str) -> str:
    """The version folder: `dataset` itself, or the newest version in it.

    Raises:
      UserError: there is none.
    """
    dataset = dataset.rstrip("/")
    for pattern in ("", "*", f"{DATASET}/*"):
        found = files.match(files.join(dataset, *filter(None, [pattern]), "stats.json"))
        if found:
            return max((path.rsplit("/", 1)[0] for path in found), key=_version)
    raise UserError(f"{dataset}: expected {DATASET}/<version>/stats.json in it; run gld2 shard")


def _version(folder: str) -> list[int]:
    parts = folder.rsplit("/", 1)[1].split(".")
    return [int(part) if part.isdigit() else -1 for part in parts]


def show(folder: str, stats: dict[str, Any], labels: list[Label]) -> None:
    """Prints what is in a version of a dataset."""
    print(f"inspect: {folder}")
    for name, split in stats["splits"].items():
        print(
            f"inspect: {name}: {split['images']} images in {split['shards']} shards, "
            f"{split['bytes'] / 1e6:.1f} MB"
        )
    if labels:
        first, last = labels[0], labels[-1]
        print(
            f"inspect: {len(labels)} landmarks, from {first.images} images (landmark "
            f"{first.landmark_id}) to {last.images} (landmark {last.landmark_id})"
        )
    if "mean" in stats:
        print(
            f"inspect: channels from 0 to 1: mean {stats['mean']}, standard deviation "
            f"{stats['std']} (of {stats['channels_of']} photos)"
        )


def classes_plot(labels: list[Label]) -> bytes:
    """Images of each class as PNG, on log axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (ranks, sizes) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    images = np.array([label.images for label in labels])
    ranks.plot(np.arange(1, len(images) + 1), np.sort(images)[::-1], marker=".")
    ranks.set(xscale="log", yscale="log", xlabel="landmarks, largest first", ylabel="images")
    edges = np.geomspace(images.min(), images.max() + 1, 30)
    sizes.hist(images, edges)
    sizes.set(xscale="log", yscale="log", xlabel="images of a landmark", ylabel="landmarks")
    for axes in (ranks, sizes):
        axes.grid(alpha=0.3, which="both")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    return out.getvalue()


def photos_sheet(folder: str, stats: dict[str, Any], seed: int) -> bytes:
    """A contact sheet of records chosen by the seed; only the first of some shards are read."""
    rng = np.random.default_rng(seed)
    tiles: list[sheet.Tile] = []
    names = [
        layout.shard(split, number, counts["shards"])
        for split, counts in stats["splits"].items()
        for number in range(counts["shards"])
    ]
    chosen = [names[n] for n in sorted(rng.permutation(len(names))[:SHARDS])]
    for name in chosen:
        tiles += _tiles(files.join(folder, name), name.split("-")[1].split(".")[0], rng)
    picked = sorted(rng.permutation(len(tiles))[:TILES])
    return sheet.draw([[tiles[n]] for n in picked])


def _tiles(path: str, split: str, rng: np.random.Generator) -> list[sheet.Tile]:
    with files.open_read(path) as file:
        records = [record for record, _ in zip(tfrecord.read(file), range(AHEAD), strict=False)]
    some = sorted(rng.permutation(len(records))[:TILES])
    return [_tile(example.decode(records[n]), split) for n in some]


def _tile(record: dict[str, example.Value], split: str) -> sheet.Tile:
    label = record.get(schema.LABEL)
    what = "no label" if label is None else f"{record[schema.LANDMARK_ID]!r} (label {label!r})"
    image_id = record[schema.IMAGE_ID].decode()  # type: ignore[union-attr]
    return sheet.Tile(record[schema.ENCODED], (image_id, what, split))  # type: ignore[arg-type]


def check(folder: str, labels: list[Label], workers: int) -> bool:
    """Verifies everything, prints what is wrong; returns whether nothing is."""
    faults, records = verify.verify(folder, labels, workers)
    for line in faults.named:
        print(f"inspect: {line}")
    counts = ", ".join(f"{kind} {number}" for kind, number in sorted(faults.counts.items()))
    verdict = f"{faults.counts.total()} faults ({counts})" if counts else "nothing is wrong"
    print(f"inspect: {records} records verified: {verdict}")
    return not counts


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(
        "inspect",
        "Look at a dataset: counts, class sizes, a contact sheet of random records; "
        "with --verify, at every byte of it. Exits with 1 where something is wrong.",
        EXAMPLES,
    )
    parser.add_argument("dataset", metavar="DATASET", help="OUT/dataset, or a version in it")
    parser.add_argument(
        "--output",
        default="inspect",
        help="folder for classes.png and photos.jpg (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the photos (default: %(default)s)")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read all: every CRC, whether each photo decodes, each label, all sums",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes that verify (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    folder = find(args.dataset)
    stats = files.read_json(files.join(folder, "stats.json"))
    path = files.join(folder, "labels.csv")
    labels = schema.parse_labels(files.read(path).decode(), path)
    show(folder, stats, labels)
    if args.verify:
        return 0 if check(folder, labels, max(1, args.workers)) else 1
    if labels:
        files.write(files.join(args.output, "classes.png"), classes_plot(labels))
    files.write(files.join(args.output, "photos.jpg"), photos_sheet(folder, stats, args.seed))
    print(f"inspect: look at {files.join(args.output, 'photos.jpg')} and classes.png beside it")
    return 0
