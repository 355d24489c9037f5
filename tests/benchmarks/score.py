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
import functools
import io
import itertools
import os
import pathlib
import random
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageEnhance

from pipelines.common import quiet
from pipelines.common.labels import Label, format_labels
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.records import json_record
from pipelines.common.records.stats import Stats
from pipelines.imaging.normalize import normalize
from tests.benchmarks.costs import Cost, Watch, alone, gld2, in_turns, need, speed, spread, without
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


def score(root: pathlib.Path, folder: pathlib.Path, *flags: str) -> Cost:
    """(a)"""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        words = [f"--source={root}", "--split=train", f"--model={folder}/export"]
        return gld2("score", *words, f"--output={output}/submission.csv", *flags)


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
        list(each(pixels, itertools.islice(_members(root), BATCH)))  # what is slow once is done
        watch = Watch()
        members = _members(root)
        while batch := list(itertools.islice(members, BATCH)):
            model.predict(np.stack(list(each(pixels, batch))), verbose=0).max(axis=1)
        return watch.stop()


def _members(root: pathlib.Path) -> Iterator[bytes]:
    for path in sorted((root / "train").glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                yield tar.extractfile(info).read()  # type: ignore[union-attr]


# ---- the command ----------------------------------------------------------------------------


def measure(
    folder: pathlib.Path, images: int, rounds: int, threads: Mapping[str, int], flags: Sequence[str]
) -> tuple[dict[str, list[Cost]], list[Cost]]:
    """What each took of each round, start-up taken off, and that start-up."""
    many = folder / "many"
    works: dict[str, Callable[[], Cost]] = {
        "few": lambda: score(folder / "few", folder, *flags),
        OURS: lambda: score(many, folder, *flags),
    }
    for name, number in threads.items():
        works[name] = functools.partial(alone, bare, many, folder / "export", number)
    found = in_turns(works, rounds)
    starts = found.pop("few")
    found[OURS] = [without(one, start) for one, start in zip(found[OURS], starts, strict=True)]
    return found, starts


def lay_out_both(folder: pathlib.Path, data: Sequence[bytes], images: int) -> None:
    lay_out(folder / "few", data, FEW, 1, loose=False)
    lay_out(folder / "many", data, images, max(1, images // IN_A_TAR), loose=False)


def report(found: dict[str, list[Cost]], starts: Sequence[Cost], images: int) -> None:
    print(f"{images} photos; start-up {np.median([s.seconds for s in starts]):.1f} s with {FEW}")
    rates = {name: np.array([images / one.seconds for one in runs]) for name, runs in found.items()}
    rates[OURS] *= 1 - FEW / images
    for name, values in rates.items():
        print(f"{name}: {spread(values, '.0f')} images/s")
    for name in (BARE, THREADS):
        print(f"{OURS} / {name}: {spread(rates[OURS] / rates[name], '.2f')}")
    largest = max(one.largest for one in found[OURS])
    print(f"goal: {OURS} / {BARE} at least {OF_BARE}; {largest:.0f} MB largest process")


def ratios(images: int = 600) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as name:
        folder = pathlib.Path(name)
        make_export(folder / "export")
        lay_out_both(folder, list(varied(400)), images)
        found, _ = measure(folder, images, 2, {BARE: 1}, ())
    share = 1 - FEW / images  # start-up took the others with it
    return {"speed beside a bare loop": [share * s for s in speed(found[OURS], found[BARE], "cpu")]}


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
    need(NEEDS)
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as name:
        folder = pathlib.Path(name)
        data = list(varied(min(2000, max([args.images, *(args.memory or [])]))))
        make_export(folder / "export")
        if args.memory:
            measure_memory(args, folder, data)
        else:
            lay_out_both(folder, data, args.images)
            print(f"photos of {np.mean([len(each) for each in data]) / 1e3:.0f} KB")
            threads = {BARE: 1, THREADS: os.cpu_count() or 1}
            found = measure(folder, args.images, args.rounds, threads, args.score)
            report(*found, args.images)


if __name__ == "__main__":
    main()
