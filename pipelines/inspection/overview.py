"""Shows an overview of a dataset: counts, class sizes and some photos."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator

import numpy as np

from pipelines.common import schema
from pipelines.common.labels import Label
from pipelines.common.paths import join
from pipelines.common.plot import png
from pipelines.common.records.stats import Stats
from pipelines.imaging import contact_sheet
from pipelines.inspection import tfrecord_scan, verify
from pipelines.storage import filesystem, ranged_reads

TILES = 2 * contact_sheet.COLUMNS  # photos of each split
TRIES = 3 * TILES  # two random positions may lead to the same photo


# ---- overview ---------------------------------------------------------------------------------


def print_summary(folder: str, stats: Stats, labels: list[Label]) -> None:
    """Prints the counts of a version of a dataset.

    Args:
      folder: the version's folder.
      stats: its stats.json.
      labels: its classes, if any.
    """
    print(f"inspect: {folder}")
    for name, split in stats.splits.items():
        print(
            f"inspect: {name}: {split.images} images in {split.shards} shards, "
            f"{split.bytes / 1e6:.1f} MB"
        )
    if labels:
        first, last = (pick(labels, key=lambda label: label.images) for pick in (max, min))
        print(
            f"inspect: {len(labels)} landmarks, from {first.images} images (landmark "
            f"{first.landmark_id}) to {last.images} (landmark {last.landmark_id})"
        )
    if stats.mean is not None:
        photos = "some" if stats.channels_of is None else stats.channels_of
        print(
            f"inspect: channels from 0 to 1: mean {stats.mean}, standard deviation "
            f"{stats.std} (of {photos} photos)"
        )


def classes_plot(labels: list[Label]) -> bytes:
    """Plots the images of each class, the largest first, on log axes; PNG."""
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
    return png(figure)


def photos_sheet(folder: str, stats: Stats, seed: int) -> bytes | None:
    """Draws a contact sheet of some photos of each split; None where there is no photo.

    Little more than those photos is read: the seed chooses positions in shards, and the first
    frame after a position is shown.

    Args:
      folder: the version's folder.
      stats: its stats.json.
      seed: of the choice of photos.

    Returns:
      the sheet as JPEG.
    """
    rng = np.random.default_rng(seed)
    there = verify.shards(folder, stats)
    groups = []
    for split in stats.splits:
        mine = [name for name in there if verify.split_of(name) == split]
        if tiles := _tiles(folder, mine, split, rng):
            groups.append(tiles)
    return contact_sheet.draw(groups) if groups else None


def _tiles(
    folder: str, names: list[str], split: str, rng: np.random.Generator
) -> list[contact_sheet.Tile]:
    if not names:
        return []
    paths = [join(folder, names[n]) for n in rng.integers(len(names), size=TRIES)]
    with concurrent.futures.ThreadPoolExecutor(ranged_reads.READERS) as pool:
        found = pool.map(tfrecord_scan.first_after, paths, rng.random(TRIES))
        records = dict.fromkeys(frame.record for frame in found if frame)
    return [tile for record in records if record for tile in _tile(record, split)][:TILES]


def _tile(data: bytes, split: str) -> Iterator[contact_sheet.Tile]:
    """Yields one tile, or none where the photo cannot be shown."""
    faults = verify.Faults()
    record = verify.parse_record(data, "", faults)
    if record:
        verify.check_photo(record, "", faults)
    if record and not faults.counts["photo"]:
        label, landmark = record.get(schema.LABEL), record.get(schema.LANDMARK_ID)
        whose = f"{split} photo" if label is None else f"landmark {landmark!r}"
        where = "" if label is None else f"{split}, label {label!r}"
        name = record[schema.IMAGE_ID].decode("utf-8", "replace")  # type: ignore[union-attr]
        yield contact_sheet.Tile(record[schema.ENCODED], (name, whose, where))  # type: ignore[arg-type]


def draw(folder: str, stats: Stats, labels: list[Label], output: str, seed: int) -> None:
    """Draws and writes the pictures, and prints their paths.

    Args:
      folder: the version's folder.
      stats: its stats.json.
      labels: its classes, if any.
      output: the folder that pictures are written to.
      seed: of the choice of photos.
    """
    photos = photos_sheet(folder, stats, seed)
    pictures = {"classes.png": classes_plot(labels) if labels else None, "photos.jpg": photos}
    for name, data in pictures.items():
        path = join(output, name)
        if data:
            filesystem.write(path, data)
        print(f"inspect: {path}{'' if data else ': there is nothing to show'}")
