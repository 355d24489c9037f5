"""How fast gld2 shard is, beside a bare loop over TensorFlow's records and beside TFDS's writer.

    python -m tests.benchmarks.shard --images 10000 40000 --rounds 3
    python -m tests.benchmarks.shard --images 2000 --rounds 1 --tfds 0

Real photos are staged by gld2 download, then repeated under other ids; gld2 curate decides over
them. In turns, each in a process of its own, then run (a) gld2 shard; (b) a loop from
tf.data.TFRecordDataset to tf.io.TFRecordWriter over the same records into as many shards, in the
order in which they lie; (c) a tfds.core.GeneratorBasedBuilder over the same photos, which Beam
writes. Of (b) only the loop is timed. (a) and (c) are timed on a few photos too, and that start-up
is taken off. Staged files are read once before, so all find them in the page cache. CPU time says
more than the clock where a machine has other work.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines.common import quiet, schema
from pipelines.common.paths import Output, join
from pipelines.common.records.stats import Stats
from pipelines.source.staged_units import summaries
from pipelines.storage import filesystem, parquet, tf_example, tfrecord
from tests.benchmarks import costs
from tests.benchmarks.costs import Cost, Watch, met, need, spread
from tests.conftest import MINI, gld2

NEEDS = (MINI,)
UNIT = 8000  # photos; a GLDv2 tar has about as many
OF_A_LANDMARK = 10  # photos
FEW = 100  # photos that take no time, so that start-up is left
OF_BARE, OF_TFDS, MEGABYTES, FLAT = 0.9, 3, 1000, 1.1  # goals


Work = Callable[[list[str], pathlib.Path, int], Cost]  # of staged files, folder, shards


# ---- the photos -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Photos:
    """A folder with staged photos and decisions.

    Attributes:
      output: that folder.
      images: how many there are.
    """

    output: Output
    images: int

    @property
    def staged(self) -> list[str]:
        return filesystem.match(self.output.staged("*"))

    @property
    def megabytes(self) -> float:
        return sum(filesystem.size(path) for path in self.staged) / 1e6


class Few:
    """The real photos as gld2 download stages them.

    Attributes:
      records: features of each.
      facts: a row of each.
      summary: of one unit.
    """

    def __init__(self, folder: pathlib.Path):
        gld2("download", source=MINI, output=folder, split="train")
        output = Output(str(folder))
        units = summaries(output)
        facts = pd.concat([parquet.read(output.facts(u.unit), schema.FACTS) for u in units])
        self.facts = facts[facts["status"] == schema.STAGED].reset_index(drop=True)
        self.records: list[dict[str, Any]] = []
        for unit in units:
            with filesystem.open_read(output.staged(unit.unit)) as file:
                self.records += map(tf_example.decode, tfrecord.read(file))
        self.summary = units[0]


def make(folder: pathlib.Path, few: Few, images: int) -> Photos:
    """So many photos, staged and decided over; made once for a folder."""
    made = Photos(Output(str(folder)), images)
    if not filesystem.exists(made.output.decisions_done):
        digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(images)]
        for start in range(0, images, UNIT):
            _write_unit(made.output, few, digests[start : start + UNIT], start)
        _curate(folder, made.output, digests)
    return made


def _write_unit(output: Output, few: Few, digests: list[str], start: int) -> None:
    unit = f"train-images_{start // UNIT:03d}"
    rows = (start + np.arange(len(digests))) % len(few.records)
    lengths = []
    with filesystem.atomic(output.staged(unit)) as file:
        for row, digest in zip(rows, digests, strict=True):
            record = few.records[row] | {schema.IMAGE_ID: digest[:16].encode()}
            lengths.append(file.write(tfrecord.frame(tf_example.encode(record))))
    facts = few.facts.iloc[rows].assign(
        unit=unit,
        id=[digest[:16] for digest in digests],
        sha256=digests,
        length=lengths,
        offset=np.cumsum(lengths) - lengths,
    )
    digest = parquet.write(output.facts(unit), facts, schema.FACTS)
    summary = dataclasses.replace(
        few.summary,
        unit=unit,
        source=unit,
        images=len(facts),
        staged=len(facts),
        rejected={},
        bytes=int(facts["bytes"].sum()),
        facts_sha256=digest,
    )
    filesystem.write_record(output.done(unit), summary)


def _curate(folder: pathlib.Path, output: Output, digests: Sequence[str]) -> None:
    source = folder / "source"
    ids = [digest[:16] for digest in digests]
    train = pd.DataFrame({"id": ids, "url": "", "landmark_id": np.arange(len(ids))})
    train["landmark_id"] //= OF_A_LANDMARK
    clean = train.groupby("landmark_id")["id"].agg(" ".join).rename("images")
    filesystem.write(f"{source}/metadata/train.csv", train.to_csv(index=False))
    filesystem.write(f"{source}/metadata/train_clean.csv", clean.to_csv())
    gld2("curate", source=source, output=output.root, split="train", near_duplicate_radius="none")


def warm(photos: Photos) -> None:
    """Reads staged files into the page cache."""
    for path in photos.staged:
        with open(path, "rb") as file:
            while file.read(1 << 24):
                pass


# ---- what is measured -----------------------------------------------------------------------


def shard(photos: Photos, *flags: str) -> Cost:
    """(a)"""
    shutil.rmtree(photos.output.dataset, ignore_errors=True)
    os.sync()  # or the disk would still be busy with what another wrote
    return costs.gld2("shard", f"--output={photos.output.root}", *flags)


def shards(photos: Photos) -> int:
    """Files that (a) wrote; counts its records, so that no rate is of work left undone."""
    (stats,) = filesystem.match(join(photos.output.version("*"), "stats.json"))
    splits = filesystem.read_record(Stats, stats).splits.values()
    if sum(split.images for split in splits) != photos.images:
        sys.exit(f"expected {photos.images} images in shards, found {splits}")
    return sum(split.shards for split in splits)


def copy(paths: list[str], folder: pathlib.Path, shards: int) -> Cost:
    """(b)"""
    with quiet.tensorflow():
        import tensorflow as tf
    dataset = tf.data.TFRecordDataset(paths).prefetch(tf.data.AUTOTUNE)
    next(dataset.as_numpy_iterator())  # what TensorFlow does once is done
    sizes = np.diff(np.linspace(0, sum(map(_records, paths)), shards + 1).astype(int))
    watch = Watch()
    records = dataset.as_numpy_iterator()
    for number, size in enumerate(sizes):
        with tf.io.TFRecordWriter(f"{folder}/{number:05d}") as writer:
            for _ in range(size):
                writer.write(next(records))
    return watch.stop()


def _records(path: str) -> int:
    with filesystem.open_read(path) as file:
        return sum(1 for _ in tfrecord.read(file))


def write_tfds(paths: list[str], folder: pathlib.Path, shards: int) -> Cost:
    """(c)"""
    with quiet.tensorflow():
        import tensorflow  # noqa: F401  # TFDS would import it later, and loudly
        import tensorflow_datasets as tfds
    quiet.beam()
    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(
        beam_runner="FnApiRunner",  # gld2's default too
        num_shards=shards,
        try_download_gcs=False,
    )
    builder = _builder(paths)(data_dir=str(folder))
    watch = Watch()
    builder.download_and_prepare(download_config=config)
    return watch.stop()


def _builder(paths: list[str]) -> type:
    import apache_beam as beam
    import tensorflow_datasets as tfds

    def features(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        with filesystem.open_read(path) as file:
            for record in tfrecord.read(file):
                found: dict[str, Any] = dict(tf_example.decode(record))
                image_id = found[schema.IMAGE_ID].decode()
                yield image_id, {"image": found[schema.ENCODED], "id": image_id, "label": 0}

    class Landmarks(tfds.core.GeneratorBasedBuilder):
        """The staged photos, as a user of TFDS would write them."""

        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = pathlib.Path(__file__).parent  # where TFDS would look for a README

        def _info(self):
            image = tfds.features.Image(encoding_format="jpeg")  # JPEG bytes are taken as they are
            columns = {"image": image, "id": tfds.features.Text(), "label": np.int64}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(columns))

        def _split_generators(self, dl_manager):
            return {"train": beam.Create(paths, reshuffle=False) | beam.FlatMap(features)}

        def _generate_examples(self):
            """Abstract; the split has its examples already."""

    return Landmarks


# ---- rounds and the table -------------------------------------------------------------------


@dataclasses.dataclass
class Line:
    """One of the three on one number of photos, measured in each round.

    Attributes:
      name: for a person.
      images: how many photos.
      runs: of each round.
      starts: runs on a few photos, of each round; zero where only work was timed.
    """

    name: str
    images: int
    runs: list[Cost] = dataclasses.field(default_factory=list)
    starts: list[Cost] = dataclasses.field(default_factory=list)

    def rates(self, by: str) -> np.ndarray:
        """[rounds] images per second by the clock or of CPU, whichever column of Cost.

        One start-up is as good as another: their median is taken off.
        """
        return self.images / (self.column(self.runs, by) - np.median(self.column(self.starts, by)))

    @staticmethod
    def column(costs: list[Cost], name: str) -> np.ndarray:
        return np.array([getattr(cost, name) for cost in costs])

    @property
    def peak(self) -> float:
        """MB of the largest process."""
        return max(found.largest for found in self.runs)

    def row(self) -> str:
        seconds, start = (
            np.median(self.column(costs, "seconds")) for costs in (self.runs, self.starts)
        )
        return (
            f"| {self.name} | {self.images:,} | {spread(self.rates('seconds'), ',.0f')} "
            f"| {spread(self.rates('cpu'), ',.0f')} | {seconds:.1f} | {start:.1f} "
            f"| {self.peak:,.0f} |"
        )


@dataclasses.dataclass
class Bench:
    """All lines, over photos made in a folder."""

    folder: pathlib.Path
    few: Photos
    sizes: list[Photos]
    small: list[Photos]  # for (c), one or none
    flags: Sequence[str]

    def __post_init__(self):
        self.ours = [Line("(a) gld2 shard", photos.images) for photos in self.sizes]
        self.bare = [Line("(b) bare loop", photos.images) for photos in self.sizes]
        self.tfds = [Line("(c) TFDS on Beam", photos.images) for photos in self.small]

    def round(self) -> None:
        for photos in [self.few, *self.sizes, *self.small]:
            warm(photos)
        start = shard(self.few, *self.flags)
        for photos, ours, bare in zip(self.sizes, self.ours, self.bare, strict=True):
            ours.runs.append(shard(photos, *self.flags))
            ours.starts.append(start)
            bare.runs.append(self._alone(copy, photos, shards(photos)))
            bare.starts.append(Cost(0.0))
            shutil.rmtree(photos.output.dataset)  # its pages would push out what others read
        for photos, line in zip(self.small, self.tfds, strict=True):
            line.starts.append(self._alone(write_tfds, self.few, 1))
            line.runs.append(self._alone(write_tfds, photos, 2))  # as (a) has on 10,000

    def _alone(self, work: Work, photos: Photos, shards: int) -> Cost:
        """Runs (b) or (c) in a new process, which imports TensorFlow and goes away with it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            os.sync()
            return costs.alone(work, photos.staged, pathlib.Path(folder), shards)

    def table(self) -> Iterator[str]:
        yield (
            "| | images | images/s | images per s of CPU | s, start-up and all "
            "| s of start-up | peak MB |"
        )
        yield "|" + " --- |" * 7
        yield from (line.row() for line in [*self.ours, *self.bare, *self.tfds])
        yield "\n| | images | by the clock | by CPU | goal | |"
        yield "|" + " --- |" * 6
        for ours, bare in zip(self.ours, self.bare, strict=True):
            yield goal("(a)/(b)", ours, bare, OF_BARE)
        for line in self.tfds:
            yield goal("(a)/(c)", self.ours[-1], line, OF_TFDS)
        first, last = self.ours[0].peak, self.ours[-1].peak
        flat = max(first, last) < MEGABYTES and last < FLAT * first
        yield (
            f"| peak of (a) | {self.ours[0].images:,} to {self.ours[-1].images:,} "
            f"| {first:,.0f} to {last:,.0f} MB | | flat, under {MEGABYTES:,} MB | {met(flat)} |"
        )


def goal(name: str, ours: Line, other: Line, least: float) -> str:
    """The goal is on the clock."""
    clock, cpu = (ours.rates(by) / other.rates(by) for by in ("seconds", "cpu"))
    return (
        f"| {name} | {ours.images:,} | {spread(clock, '.2f')} | {spread(cpu, '.2f')} "
        f"| at least {least} | {met(np.median(clock) >= least)} |"
    )


def ratios(images: int = 8000) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as name:
        bench = made(pathlib.Path(name), [images], 0, ())
        for _ in range(3):
            bench.round()
    (ours,), (bare,) = bench.ours, bench.bare
    return {
        "speed beside a bare loop": ours.rates("cpu") / bare.rates("cpu"),
    }


def made(folder: pathlib.Path, sizes: Sequence[int], tfds: int, flags: Sequence[str]) -> Bench:
    """A benchmark over photos of each number, and over so many with TFDS, or 0."""
    make_some = functools.partial(make, few=Few(folder / "mini"))
    few, *many = (make_some(folder / str(n), images=n) for n in (FEW, *sorted(sizes)))
    small = [make_some(folder / str(n), images=n) for n in [tfds] if n]
    return Bench(folder, few, many, small, flags)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 40_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tfds", type=int, default=2000, help="photos for (c); 0 leaves it out")
    parser.add_argument("--keep", type=pathlib.Path, help="keeps the photos, for next time")
    parser.add_argument("shard", nargs="*", help="after --: flags for gld2 shard")
    args = parser.parse_args()
    need(NEEDS)
    if args.tfds and not importlib.util.find_spec("tensorflow_datasets"):
        sys.exit("needs tensorflow-datasets, or --tfds 0")
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as name:
        folder = args.keep or pathlib.Path(name)
        bench = made(folder, args.images, args.tfds, args.shard)
        for _ in range(args.rounds):
            bench.round()
        size = bench.sizes[-1].megabytes / bench.sizes[-1].images * 1e3
    print(f"{size:.0f} KB a photo, {args.rounds} rounds")
    print("\n".join(bench.table()))


if __name__ == "__main__":
    main()
