"""How much of the trainer's time is the network's, and how fast its input is.

    python -m tests.benchmarks.trainer --rounds 5
    python -m tests.benchmarks.trainer --rounds 3 --backbone mobilenet_v2 --alpha 0.35 --steps 20

Real photos are sharded by gld2 prepare. In turns, in one process: (a) steps of `fit` on the shards,
augmented, beside steps on one batch that lies in memory; (b) the input alone, to batches of random
views, beside a bare loop that decodes the same bytes, whole and at full size, and one that also
resizes; (c) steps of `fit` on that batch, with the trainer's callbacks, its head and its loss,
beside Keras' `train_on_batch` of the plain network under a Dense layer; (d) from (b), the cores
that a v3-8 would need. On a CPU the input takes its time from the same cores as the network: there
(a) cannot be better than their shares of the work, which are told too.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import tempfile
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from pipelines.common import schema
from tests.benchmarks.costs import Cost, Watch, in_turns, met, speed, spread
from tests.conftest import MINI, gld2
from trainer.config import NO_WEIGHTS, Config
from trainer.data import dataset, input_pipeline
from trainer.data.dataset import Version
from trainer.model import backbones, build
from trainer.position import START
from trainer.training import checkpoints

V3_8 = 4400  # images a second that a v3-8 takes
WARM = 3  # steps that fill buffers, and are not timed
NEEDS = (MINI,)
INPUT, DECODING, RESIZING = "input, a photo", "decoding, a photo", "decoding and resizing, a photo"
SHARDS, CACHED = "fit on shards, a step", "fit on one batch, a step"
BARE = "train_on_batch, a step"
GOALS = {  # what is compared, and the least that it should be
    "(a) shards beside one batch": (SHARDS, CACHED, 0.95),
    "(b) input beside decoding": (INPUT, DECODING, 0.9),
    "(b) input beside decoding and resizing": (INPUT, RESIZING, 0.9),
    "(c) fit beside train_on_batch": (CACHED, BARE, 0.97),
}


def after_a_few(work: Callable[[], object], times: int, count: int) -> Cost:
    """What one of `count` takes when work is done so many times, the first few apart."""
    for _ in range(WARM):
        work()
    watch = Watch()
    for _ in range(times):
        work()
    return watch.stop(count)


class Steps(keras.callbacks.Callback):
    """Measures the steps of a `fit` after the first few."""

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if batch == WARM:
            self._watch = Watch()

    def on_train_end(self, logs: dict | None = None) -> None:
        self.cost = self._watch.stop(self.params["steps"] - WARM)


# ---- what is measured -----------------------------------------------------------------------


class Training:
    """Both networks, compiled, and one batch.

    Args:
      settings: of the run; from random weights, so that all of it learns.
      version: the dataset.
      steps: that are timed in a round.
      folder: for checkpoints.
    """

    def __init__(self, settings: Config, version: Version, steps: int, folder: str) -> None:
        self._settings, self._version, self._steps = settings, version, steps
        self._folder = folder
        (phase,) = settings.phases
        self._ours = build.build(settings, len(version.labels))
        batch = input_pipeline.batch_size(version, settings)
        build.compile_for(self._ours, settings, phase, 1000, batch, version.labels)
        self._plain = _plain(settings, len(version.labels), phase.rate * batch / 32)
        self._batch = next(iter(input_pipeline.training(version, settings)))

    def on_shards(self) -> Cost:
        return self._fit(input_pipeline.training(self._version, self._settings))

    def on_one_batch(self) -> Cost:
        return self._fit(tf.data.Dataset.from_tensors(self._batch).cache().repeat())

    def _fit(self, batches: tf.data.Dataset) -> Cost:
        """With the callbacks that look at each step."""
        steps, epochs = Steps(), checkpoints.WholeEpochs(START, {})
        saves = checkpoints.Checkpoints(
            self._folder, self._settings.checkpoint_every, epochs, chief=False
        )
        self._ours.fit(
            batches,
            steps_per_epoch=WARM + self._steps,
            shuffle=False,
            verbose=0,
            callbacks=[epochs, saves, steps],
        )
        return steps.cost

    def bare(self) -> Cost:
        step = functools.partial(self._plain.train_on_batch, *self._batch)
        return after_a_few(step, self._steps, self._steps)


def _plain(settings: Config, classes: int, rate: float) -> keras.Model:
    """What Keras' own guide on transfer learning would have one write."""
    photos = keras.Input((settings.image_size, settings.image_size, 3))
    backbone = backbones.build(
        settings.backbone, settings.image_size, NO_WEIGHTS, settings.alpha, settings.phi
    )
    features = backbone(backbones.scaled(settings.backbone, photos))
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    dropped = keras.layers.Dropout(settings.dropout)(pooled)
    network = keras.Model(photos, keras.layers.Dense(classes)(dropped))
    network.compile(
        keras.optimizers.AdamW(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return network


class Input:
    """Batches of the train split's photos, over and over.

    Args:
      settings: of the run.
      version: the dataset.
      epochs: that are timed in a round.
    """

    def __init__(self, settings: Config, version: Version, epochs: int) -> None:
        self._settings, self._version = settings, version
        self._batch = input_pipeline.batch_size(version, settings)
        self._steps = input_pipeline.steps_per_epoch(version, settings) * epochs

    def ours(self) -> Cost:
        return self._each(input_pipeline.training(self._version, self._settings))

    def decoding(self) -> Cost:
        return self._bare(lambda photo: tf.shape(photo))

    def decoding_and_resizing(self) -> Cost:
        size = [self._settings.image_size] * 2
        return self._bare(lambda photo: tf.cast(tf.image.resize(photo, size), tf.uint8))

    def _bare(self, result: Callable[[tf.Tensor], tf.Tensor]) -> Cost:
        """Decodes, and does one thing more with the pixels."""
        wanted = {schema.ENCODED: tf.io.FixedLenFeature([], tf.string)}

        def view(record: tf.Tensor) -> tf.Tensor:
            encoded = tf.io.parse_single_example(record, wanted)[schema.ENCODED]
            return result(tf.io.decode_jpeg(encoded, channels=3))

        records = tf.data.TFRecordDataset(self._version.shards("train")).repeat()
        batches = records.map(view, num_parallel_calls=tf.data.AUTOTUNE).batch(self._batch)
        return self._each(batches.prefetch(tf.data.AUTOTUNE))

    def _each(self, batches: tf.data.Dataset) -> Cost:
        """A photo's, without the threads' start and their end, which may take half a second."""
        take = functools.partial(next, iter(batches))
        return after_a_few(take, self._steps, self._steps * self._batch)


# ---- rounds and the report ------------------------------------------------------------------


def report(found: dict[str, list[Cost]]) -> None:
    print("| | ms by the clock | ms of CPU |\n|---|---|---|")
    for name, costs in found.items():
        clock = np.array([1e3 * cost.seconds for cost in costs])
        cpu = np.array([1e3 * cost.cpu for cost in costs])
        print(f"| {name} | {spread(clock, '.2f')} | {spread(cpu, '.2f')} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="that are timed in a round")
    parser.add_argument("--epochs", type=int, default=8, help="of the input, timed in a round")
    parser.add_argument("--backbone", default="efficientnet_b0")
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--data", help="a dataset; default: made of the real photos")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_folder = flags.data or _prepared(pathlib.Path(folder))
        settings = Config(
            data=(data_folder,),
            job_dir=folder,
            backbone=flags.backbone,
            alpha=flags.alpha,
            weights=NO_WEIGHTS,
        )
        version = dataset.find(data_folder)
        photos = Input(settings, version, flags.epochs)
        training = Training(settings, version, flags.steps, folder)
        tell(settings, version, measure(photos, training, flags.rounds))


def _prepared(folder: pathlib.Path) -> str:
    gld2("prepare", source=MINI, output=folder, split="train")
    return str(folder / "dataset")


def measure(photos: Input, training: Training, rounds: int) -> dict[str, list[Cost]]:
    """In turns; a first round, which compiles, does not count."""
    read = {INPUT: photos.ours, DECODING: photos.decoding, RESIZING: photos.decoding_and_resizing}
    stepped = {SHARDS: training.on_shards, CACHED: training.on_one_batch, BARE: training.bare}
    found = in_turns(read, rounds + 1) | in_turns(stepped, rounds + 1)
    return {name: costs[1:] for name, costs in found.items()}


def shares(found: dict[str, list[Cost]], by: str = "seconds") -> dict[str, list[float]]:
    """Each goal's ratio in each round."""
    return {name: speed(found[ours], found[other], by) for name, (ours, other, _) in GOALS.items()}


def ratios() -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        data = _prepared(pathlib.Path(folder))
        settings = Config(
            data=(data,), job_dir=folder, backbone="mobilenet_v2", alpha=0.35, weights=NO_WEIGHTS
        )
        version = dataset.find(data)
        training = Training(settings, version, 8, folder)
        return shares(measure(Input(settings, version, 1), training, 3), "cpu")


def tell(settings: Config, version: Version, found: dict[str, list[Cost]]) -> None:
    cores, batch = len(os.sched_getaffinity(0)), input_pipeline.batch_size(version, settings)
    print(f"{settings.backbone}, batches of {batch}, {settings.image_size} px, {cores} cores\n")
    report(found)
    print()
    for name, values in shares(found).items():
        wanted = GOALS[name][2]
        print(f"{name}: {spread(values, '.3f')}; goal {wanted}: {met(np.median(values) >= wanted)}")
    photo, step = (np.median([cost.cpu for cost in found[name]]) for name in (INPUT, CACHED))
    print(f"the input's CPU time is {batch * photo / step:.1%} of the network's")
    print(f"(d) {V3_8:,} images/s take {V3_8 * photo:.1f} cores like these")


if __name__ == "__main__":
    main()
