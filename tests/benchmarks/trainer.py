"""How much of the trainer's time is the network's, and how fast its input is.

    python -m tests.benchmarks.trainer --rounds 5
    python -m tests.benchmarks.trainer --rounds 3 --backbone mobilenet_v2 --alpha 0.35

Real photos are sharded by gld2 prepare. In turns, in one process: (a) steps of `fit` on the shards,
augmented, beside steps on one batch that lies in memory; (b) the input alone, to batches of random
views, beside a bare loop that decodes the same bytes, whole and at full size, and one that also
resizes; (c) steps of `fit` on that batch, with the trainer's callbacks, its head and its loss,
beside Keras' `train_on_batch` of the plain network under a Dense layer; (d) from (b), the cores
that a v3-8 would need. On a CPU the input takes its time from the same cores as the network: there
(a) cannot be better than their shares of the work, which are told too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from pipelines.common import schema
from tests.benchmarks.costs import Cost, Watch, beside, in_turns, parser, report, scratch, speed
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
    """

    def __init__(self, settings: Config, version: Version, steps: int) -> None:
        self._settings, self._version, self._steps = settings, version, steps
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
            self._settings.job_dir, self._settings.checkpoint_every, epochs, chief=False
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

    Attributes:
      batch: photos in each.
    """

    def __init__(self, settings: Config, version: Version, epochs: int) -> None:
        self._settings, self._version = settings, version
        self.batch = input_pipeline.batch_size(version, settings)
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
        batches = records.map(view, num_parallel_calls=tf.data.AUTOTUNE).batch(self.batch)
        return self._each(batches.prefetch(tf.data.AUTOTUNE))

    def _each(self, batches: tf.data.Dataset) -> Cost:
        """A photo's, without the threads' start and their end, which may take half a second."""
        take = functools.partial(next, iter(batches))
        return after_a_few(take, self._steps, self._steps * self.batch)


# ---- rounds and the report ------------------------------------------------------------------


def measure(
    backbone: str, alpha: float, steps: int, epochs: int, rounds: int
) -> tuple[int, dict[str, list[Cost]]]:
    """A batch's photos; and what all took, in turns: a first round, which compiles, is left out."""
    with scratch() as folder:
        gld2("prepare", source=MINI, output=folder, split="train")
        settings = Config(
            data=(f"{folder}/dataset",),
            job_dir=f"{folder}/job",
            backbone=backbone,
            alpha=alpha,
            weights=NO_WEIGHTS,
        )
        version = dataset.find(settings.data[0])
        photos = Input(settings, version, epochs)
        training = Training(settings, version, steps)
        read = {
            INPUT: photos.ours,
            DECODING: photos.decoding,
            RESIZING: photos.decoding_and_resizing,
        }
        step = {SHARDS: training.on_shards, CACHED: training.on_one_batch, BARE: training.bare}
        found = in_turns(read, rounds + 1) | in_turns(step, rounds + 1)
    return photos.batch, {name: costs[1:] for name, costs in found.items()}


def ratios() -> dict[str, list[float]]:
    _, found = measure("mobilenet_v2", 0.35, steps=8, epochs=1, rounds=3)
    return {
        name: speed(found[ours], found[other], "cpu") for name, (ours, other, _) in GOALS.items()
    }


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--backbone", default="efficientnet_b0")
    flags.add_argument("--alpha", type=float, default=1.0)
    args = flags.parse_args()
    batch, found = measure(args.backbone, args.alpha, steps=10, epochs=8, rounds=args.rounds)
    report(found)
    for ours, other, goal in GOALS.values():
        beside(found, ours, other, goal)
    photo, step = (np.median([cost.cpu for cost in found[name]]) for name in (INPUT, CACHED))
    print(f"the input's CPU time is {batch * photo / step:.1%} of the network's")
    print(f"(d) {V3_8:,} images/s take {V3_8 * photo:.1f} cores like these")


if __name__ == "__main__":
    main()
