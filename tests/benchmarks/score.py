"""How fast gld2 score is, beside a bare loop over the same photos and model.

    python -m tests.benchmarks.score --images 2000 --rounds 3
    python -m tests.benchmarks.score --memory 1000 8000

Real photos are varied (cropped, mirrored, brightened) and packed into tars. In turns, each in a
process of its own, then run (a) gld2 score; (b) a loop that reads a tar, normalises and decodes
one photo after the other and calls Keras' predict on each 32; (c) the same loop with as many
threads that normalise and decode as there are cores. Of (b) and (c) only the loop is timed; (a) is
timed on a few photos too, and that start-up is taken off. The network is MobileNetV2 0.35 with
real weights at 224 pixels, its 1,000 classes random.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import io
import itertools
import multiprocessing
import os
import pathlib
import random
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageEnhance

from pipelines.common import quiet
from pipelines.common.labels import Label, format_labels
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.records import json_record
from pipelines.common.records.stats import Stats
from pipelines.imaging.normalize import normalize
from tests.benchmarks.download import Run, lay_out, photos, run
from tests.conftest import MINI, WEIGHTS

WEIGHTS_035 = WEIGHTS / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
CLASSES, SIZE, BATCH = 1000, 224, 32
FEW = 64  # photos that take no time, so that start-up is left
IN_A_TAR = 500
OF_BARE, FLAT = 0.9, 1.1  # goals
NORMAL = NormalizationConfig()


def varied(images: int) -> Iterator[bytes]:
    """Real photos, each time a little different."""
    real = [Image.open(io.BytesIO(photo)).convert("RGB") for photo in photos()]
    rng = random.Random(0)
    for image in itertools.islice(itertools.cycle(real), images):
        left, top = (int(side * rng.uniform(0, 0.1)) for side in image.size)
        right, bottom = (int(side * rng.uniform(0.9, 1)) for side in image.size)
        image = image.crop((left, top, right, bottom))
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        out = io.BytesIO()
        ImageEnhance.Brightness(image).enhance(rng.uniform(0.8, 1.2)).save(out, "JPEG", quality=90)
        yield out.getvalue()


def make_export(folder: pathlib.Path) -> None:
    """model.keras, saved_model/ and what stands beside them."""
    import keras

    from trainer.export import make_saved_model

    keras.utils.set_random_seed(0)
    pixels = keras.Input((SIZE, SIZE, 3))
    base = keras.applications.MobileNetV2(
        input_shape=(SIZE, SIZE, 3), alpha=0.35, weights=str(WEIGHTS_035), include_top=False
    )
    features = keras.layers.GlobalAveragePooling2D()(base(pixels / 127.5 - 1.0))
    embedding = keras.layers.LayerNormalization(name="embedding")(features)
    scores = keras.layers.Dense(CLASSES, activation="softmax", name="scores")(embedding)
    folder.mkdir(parents=True)
    keras.Model(pixels, scores).save(folder / "model.keras")
    make_saved_model(f"{folder}/model.keras", f"{folder}/saved_model")
    labels = format_labels(Label(n, n, 1) for n in range(CLASSES))
    (folder / "labels.csv").write_text(labels)
    (folder / "stats.json").write_text(json_record.dumps(Stats(NORMAL, {}, "1.0.0", 0, "")))


# ---- what is compared -----------------------------------------------------------------------


def score(root: pathlib.Path, folder: pathlib.Path, *flags: str) -> Run:
    """(a)"""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        words = ["score", f"--source={root}", "--split=train", f"--model={folder}/export"]
        words += [f"--output={output}/submission.csv", *flags]
        return run([sys.executable, "-m", "pipelines.main", *words])


def bare(root: pathlib.Path, export: pathlib.Path, threads: int) -> float:
    """(b) and (c): seconds."""
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
        list(each(pixels, itertools.islice(_members(root), BATCH)))  # what is slow once is done
        started = time.perf_counter()
        members = _members(root)
        while batch := list(itertools.islice(members, BATCH)):
            model.predict(np.stack(list(each(pixels, batch))), verbose=0).max(axis=1)
        return time.perf_counter() - started


def _members(root: pathlib.Path) -> Iterator[bytes]:
    for path in sorted((root / "train").glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                yield tar.extractfile(info).read()  # type: ignore[union-attr]


def alone(*args) -> float:
    """Runs (b) or (c) in a new process."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(bare, *args).result()


# ---- the command ----------------------------------------------------------------------------


def measure(args: argparse.Namespace, folder: pathlib.Path, data: list[bytes]) -> None:
    lay_out(folder / "few", data, FEW, 1, loose=False)
    lay_out(folder / "many", data, args.images, max(1, args.images // IN_A_TAR), loose=False)
    rates: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    starts, largest = [], 0.0
    for _ in range(args.rounds):
        starts.append(score(folder / "few", folder, *args.score).seconds)
        done = score(folder / "many", folder, *args.score)
        largest = max(largest, done.largest)
        rates["a"].append((args.images - FEW) / (done.seconds - starts[-1]))
        for name, threads in (("b", 1), ("c", os.cpu_count() or 1)):
            rates[name].append(args.images / alone(folder / "many", folder / "export", threads))
    size = np.mean([len(each) for each in data]) / 1e3
    print(f"{args.images} photos of {size:.0f} KB; start-up {np.median(starts):.1f} s with {FEW}")
    for name, what in (("a", "gld2 score"), ("b", "bare loop"), ("c", "bare loop, threads")):
        print(f"({name}) {what}: {spread(rates[name], '.0f')} images/s")
    for name in "bc":
        print(f"(a)/({name}): {spread(np.divide(rates['a'], rates[name]), '.2f')}")
    print(f"goal: (a)/(b) at least {OF_BARE}; {largest:.0f} MB largest process")


def spread(values, how: str) -> str:
    """Median and range."""
    median, low, high = (format(f(values), how) for f in (np.median, np.min, np.max))
    return f"{median} ({low} to {high})"


def measure_memory(args: argparse.Namespace, folder: pathlib.Path, data: list[bytes]) -> None:
    peaks = []
    for images in args.memory:
        root = folder / str(images)
        lay_out(root, data, images, max(1, images // IN_A_TAR), loose=False)
        peaks.append(score(root, folder, *args.score).largest)
        print(f"{images} photos: {peaks[-1]:.0f} MB at the peak", flush=True)
    print(f"growth {peaks[-1] / peaks[0]:.2f}; goal: under {FLAT}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="+", help="peaks at these numbers of photos")
    parser.add_argument("score", nargs="*", help="after --: flags for gld2 score")
    args = parser.parse_args()
    if not MINI.is_dir():
        sys.exit("needs the real photos of ../shared, which are not there")
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as name:
        folder = pathlib.Path(name)
        make_export(folder / "export")
        data = list(varied(min(2000, max([args.images, *(args.memory or [])]))))
        (measure_memory if args.memory else measure)(args, folder, data)


if __name__ == "__main__":
    main()
