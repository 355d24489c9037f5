"""How fast gld2 score is, beside a bare loop over the same photos and model.

    python -m tests.benchmarks.score --images 2000 --rounds 3
    python -m tests.benchmarks.score --memory 1000 8000

Real photos are repeated under other ids and packed into tars. In turns, each in a process of its
own, then run (a) gld2 score; (b) a loop that reads a tar, normalises and decodes
one photo after the other and calls Keras' predict on each 32; (c) the same loop with as many
threads that normalise and decode as there are cores. Of (b) and (c) only the loop is timed; (a) is
timed on a few photos too, and that start-up is taken off. The network is MobileNetV2 0.35 with
real weights at 224 pixels, with a head of 1,000 classes.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

from pipelines.common import quiet
from pipelines.common.labels import Label, format_labels
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.records import json_record
from pipelines.common.records.stats import Stats
from pipelines.imaging.normalize import normalize
from tests.benchmarks import costs
from tests.benchmarks.costs import Cost, Watch, alone, beside, gld2, in_turns, need, of_each, speed
from tests.benchmarks.download import lay_out, photos
from tests.conftest import MINI
from tests.test_real_photos import WEIGHTS_035

CLASSES, SIZE, BATCH = 1000, 224, 32
FEW = 64  # photos that take no time, so that start-up is left
IN_A_TAR = 500
OF_BARE, FLAT = 0.9, 1.1  # goals
NORMAL = NormalizationConfig()
NEEDS = (MINI, WEIGHTS_035)
OURS, BARE, THREADS = "gld2 score", "bare loop", "bare loop with threads"


def make_export(folder: pathlib.Path) -> None:
    """model.keras, saved_model/ and what stands beside them."""
    from trainer.config import Config
    from trainer.export import make_saved_model
    from trainer.model import build

    folder.mkdir(parents=True)
    config = Config(backbone="mobilenet_v2", alpha=0.35, weights=str(WEIGHTS_035))
    network = build.with_scores(build.build(config, CLASSES))
    network.save(folder / "model.keras")
    make_saved_model(f"{folder}/model.keras", f"{folder}/saved_model")
    (folder / "labels.csv").write_text(format_labels(Label(n, n, 1) for n in range(CLASSES)))
    (folder / "stats.json").write_text(json_record.dumps(Stats(NORMAL, {}, "1.0.0", 0, "")))


# ---- what is compared -----------------------------------------------------------------------


def score(root: pathlib.Path, folder: pathlib.Path) -> Cost:
    """(a)"""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        words = [f"--source={root}", "--split=train", f"--model={folder}/export"]
        return gld2("score", *words, f"--output={output}/submission.csv")


def bare(root: pathlib.Path, export: pathlib.Path, threads: int) -> Cost:
    """(b) and (c)"""
    with quiet.tensorflow():
        import keras
        import tensorflow as tf

    model = keras.saving.load_model(export / "model.keras")
    model.predict(np.zeros([BATCH, SIZE, SIZE, 3], np.float32), verbose=0)

    def pixels(data: bytes):
        photo = tf.io.decode_jpeg(normalize(data, NORMAL).jpeg, channels=3)
        return tf.image.resize(photo, [SIZE, SIZE], antialias=True)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        each = pool.map if threads > 1 else map
        list(each(pixels, itertools.islice(photos(root), BATCH)))  # what is slow once is done
        watch = Watch()
        members = photos(root)
        while batch := list(itertools.islice(members, BATCH)):
            model.predict(np.stack(list(each(pixels, batch))), verbose=0).max(axis=1)
        return watch.stop()


# ---- the command ----------------------------------------------------------------------------


def measure(
    folder: pathlib.Path, data: Sequence[bytes], images: int, rounds: int, threads: Sequence[int]
) -> dict[str, list[Cost]]:
    """What one photo took of each in each round, start-up taken off."""
    few, many = folder / "few", folder / "many"
    lay_out(few, data, FEW, 1, loose=False)
    lay_out(many, data, images, max(1, images // IN_A_TAR), loose=False)
    works: dict[str, Callable[[], Cost]] = {
        "few": lambda: score(few, folder),
        OURS: lambda: score(many, folder),
    }
    for number in threads:
        name = BARE if number == 1 else THREADS
        works[name] = functools.partial(alone, bare, many, folder / "export", number)
    found = in_turns(works, rounds)
    starts = found.pop("few")
    print(f"start-up {np.median([start.seconds for start in starts]):.1f} s, with {FEW} photos")
    ours = of_each(found.pop(OURS), images - FEW, starts)
    return {OURS: ours} | {name: of_each(runs, images) for name, runs in found.items()}


def ratios(images: int = 600) -> dict[str, list[float]]:
    with costs.scratch() as folder:
        make_export(folder / "export")
        found = measure(folder, list(photos()), images, 2, [1])
    return {"speed beside a bare loop": speed(found[OURS], found[BARE], "cpu")}


def measure_memory(folder: pathlib.Path, data: Sequence[bytes], sizes: Sequence[int]) -> None:
    peaks = []
    for images in sizes:
        root = folder / str(images)
        lay_out(root, data, images, max(1, images // IN_A_TAR), loose=False)
        peaks.append(score(root, folder).largest)
        print(f"{images} photos: {peaks[-1]:.0f} MB at the peak", flush=True)
    print(f"growth {peaks[-1] / peaks[0]:.2f}; goal: under {FLAT}")


def main() -> None:
    flags = costs.parser(__doc__)
    flags.add_argument("--images", type=int, default=2000)
    flags.add_argument("--rounds", type=int, default=3)
    flags.add_argument("--memory", type=int, nargs="+", help="peaks at these numbers of photos")
    args = flags.parse_args()
    need(NEEDS)
    with costs.scratch() as folder:
        data = list(photos())
        make_export(folder / "export")
        if args.memory:
            measure_memory(folder, data, args.memory)
            return
        print(f"photos of {np.mean([len(each) for each in data]) / 1e3:.0f} KB")
        found = measure(folder, data, args.images, args.rounds, [1, os.cpu_count() or 1])
    costs.report(found)
    for name, goal in ((BARE, OF_BARE), (THREADS, 0)):
        if name in found:
            beside(found, OURS, name, goal)


if __name__ == "__main__":
    main()
