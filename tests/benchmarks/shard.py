"""How fast gld2 shard is, beside a bare loop over TensorFlow's records and beside TFDS's writer.

    python -m tests.benchmarks.shard --images 10000 40000 --rounds 3
    python -m tests.benchmarks.shard --images 2000 --rounds 1 --tfds 0

Real photos are staged under many ids by gld2 download; gld2 curate decides over them. In turns,
each in a process of its own, then run gld2 shard; a loop from tf.data.TFRecordDataset to
tf.io.TFRecordWriter over the same records into as many shards, in the order in which they lie; and
a tfds.core.GeneratorBasedBuilder over the same photos, which Beam writes. Of the bare loop only the
loop is timed; the others are timed on a few photos too, and that start-up is taken off. CPU time
says more than the clock where a machine has other work.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pipelines.common import quiet, schema
from pipelines.common.paths import Output, join
from pipelines.common.records.stats import Stats
from pipelines.imaging.normalize import normalize
from pipelines.storage import filesystem, tf_example, tfrecord
from tests.benchmarks import costs
from tests.benchmarks.costs import Cost, Watch, beside, in_turns, need, of_each, speed
from tests.benchmarks.download import NORMAL, lay_out, photos
from tests.conftest import MINI

NEEDS = (MINI,)
UNIT = 8000  # photos; a GLDv2 tar has about as many
IN_A_SHARD = 6000  # photos
FEW = 100  # photos that take no time, so that start-up is left
OF_BARE, OF_TFDS = 0.9, 3  # goals
OURS, BARE, TFDS = "gld2 shard", "bare loop", "TFDS on Beam"


def make(folder: pathlib.Path, images: int) -> Output:
    """So many photos, staged and decided over."""
    source, output = folder / "source", folder / "output"
    data = [normalize(one, NORMAL).jpeg for one in photos()]
    lay_out(source, data, images, -(-images // UNIT), loose=False)
    words = [f"--source={source}", f"--output={output}", "--split=train"]
    costs.gld2("download", *words)
    costs.gld2("curate", *words, "--near_duplicate_radius=none")
    shutil.rmtree(source)
    return Output(str(output))


def shards(images: int) -> int:
    return -(-images // IN_A_SHARD)


# ---- what is measured -----------------------------------------------------------------------


def shard(output: Output, images: int) -> Cost:
    """Counts the records, so that no rate is of work left undone."""
    shutil.rmtree(output.dataset, ignore_errors=True)
    os.sync()  # or the disk would still be busy with what another wrote
    cost = costs.gld2("shard", f"--output={output.root}", f"--num_shards={shards(images)}")
    (stats,) = filesystem.match(join(output.version("*"), "stats.json"))
    found = filesystem.read_record(Stats, stats).splits
    if sum(split.images for split in found.values()) != images:
        sys.exit(f"expected {images} images in shards, found {found}")
    return cost


def apart(work: Callable[..., Cost], output: Output, images: int) -> Cost:
    """Runs one of the others in a new process, which imports TensorFlow and goes away with it."""
    with tempfile.TemporaryDirectory(dir=output.root) as folder:
        os.sync()
        staged = filesystem.match(output.staged("*"))
        return costs.alone(work, staged, pathlib.Path(folder), images)


def copy(paths: list[str], folder: pathlib.Path, images: int) -> Cost:
    """The bare loop."""
    with quiet.tensorflow():
        import tensorflow as tf
    dataset = tf.data.TFRecordDataset(paths).prefetch(tf.data.AUTOTUNE)
    next(dataset.as_numpy_iterator())  # what TensorFlow does once is done
    sizes = np.diff(np.linspace(0, images, shards(images) + 1).astype(int))
    watch = Watch()
    records = dataset.as_numpy_iterator()
    for number, size in enumerate(sizes):
        with tf.io.TFRecordWriter(f"{folder}/{number:05d}") as writer:
            for _ in range(size):
                writer.write(next(records))
    return watch.stop()


def write_tfds(paths: list[str], folder: pathlib.Path, images: int) -> Cost:
    with quiet.tensorflow():
        import tensorflow  # noqa: F401  # TFDS would import it later, and loudly
        import tensorflow_datasets as tfds
    quiet.beam()
    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(
        beam_runner="FnApiRunner",  # gld2's default too
        num_shards=shards(images),
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


# ---- the command ----------------------------------------------------------------------------


def measure(
    folder: pathlib.Path, sizes: Sequence[int], rounds: int, tfds: int = 0
) -> dict[str, list[Cost]]:
    """What each took of each round for one photo, with TFDS for so many photos or none."""
    few = make(folder / "few", FEW)
    works = {OURS: functools.partial(shard, few, FEW)}
    counts = {}
    for images in sizes:
        made = make(folder / str(images), images)
        for name, work in ((OURS, shard), (BARE, functools.partial(apart, copy))):
            works[f"{name}, {images:,}"] = functools.partial(work, made, images)
            counts[f"{name}, {images:,}"] = images
    if tfds:
        made = make(folder / "tfds", tfds)
        works[f"{TFDS}, few"] = functools.partial(apart, write_tfds, few, FEW)
        works[TFDS] = functools.partial(apart, write_tfds, made, tfds)
        counts[TFDS] = tfds
    found = in_turns(works, rounds)
    starts = {OURS: found[OURS], TFDS: found.get(f"{TFDS}, few", [])}
    return {
        name: of_each(found[name], images, starts.get(name.partition(",")[0], []))
        for name, images in counts.items()
    }


def ratios(images: int = 8000) -> dict[str, list[float]]:
    with costs.scratch() as folder:
        ours, bare = measure(folder, [images], 3).values()
    return {"speed beside a bare loop": speed(ours, bare, "cpu")}


def main() -> None:
    parser = costs.parser(__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 40_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tfds", type=int, default=2000, help="photos for TFDS; 0 leaves it out")
    args = parser.parse_args()
    need(NEEDS)
    if args.tfds and not importlib.util.find_spec("tensorflow_datasets"):
        sys.exit("needs tensorflow-datasets, or --tfds 0")
    with costs.scratch() as folder:
        found = measure(folder, args.images, args.rounds, args.tfds)
    costs.report(found)
    for images in args.images:
        beside(found, f"{OURS}, {images:,}", f"{BARE}, {images:,}", OF_BARE)
    if args.tfds:
        beside(found, f"{OURS}, {args.images[-1]:,}", TFDS, OF_TFDS)


if __name__ == "__main__":
    main()
