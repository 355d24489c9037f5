"""What a head of many classes takes: memory, and time of a training step, without a backbone.

    python -m tests.benchmarks.heads
    python -m tests.benchmarks.heads --classes 1000 --steps 10

Embeddings of 512 features, 32 a step, go through the trainer's own classifier, loss and AdamW;
each head has a process of its own. 'JAX 8' spreads it over eight virtual devices of this CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys

from tests.benchmarks.costs import Cost, Watch, in_turns, speed
from trainer.devices import find_devices

FEATURES, BATCH = 512, 32
HEADS = (("softmax", 1), ("arcface", 1), ("arcface", 3))
PLACES = (("tensorflow", 1), ("jax", 1), ("jax", 8))
SMALL = 20_000
NEEDS: tuple[pathlib.Path, ...] = ()
GLD2 = (81_313, 203_094)  # landmarks of the clean and of the whole training set


@dataclasses.dataclass
class HeadCost(Cost):
    """What a step took; the memory is without what the process had before the head was made.

    Attributes:
      state: bytes of weights and optimizer on each device.
    """

    state: int = 0


def measured(
    head: str, centres: int, classes: int, backend: str, devices: int, steps: int
) -> HeadCost:
    """Makes a head in a new process, and trains it there.

    Args:
      head: 'softmax' or 'arcface'; 'dense' is what Keras has, without the trainer's.
      centres: of a class.
      classes: how many.
      backend: 'tensorflow' or 'jax'.
      devices: how many it is spread over.
      steps: that are timed, after as many that are not.
    """
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    case = json.dumps([head, centres, classes, devices, steps])
    words = [sys.executable, "-m", "tests.benchmarks.heads", "--case", case]
    done = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return HeadCost(**json.loads(done.stdout.splitlines()[-1]))


def run(kind: str, centres: int, classes: int, devices: int, steps: int) -> HeadCost:
    """Does so in this process."""
    import keras
    import numpy as np

    from pipelines.common.labels import Label
    from trainer import distribution
    from trainer.config import Config
    from trainer.model import build, heads

    found = distribution.spread(find_devices("cpu"), [BATCH], shard_head=True)
    assert len(found.names) == devices, found
    kept = "softmax" if kind == "dense" else kind
    config = Config(backbone="mobilenet", weights="none", head=kept, subcentres=centres)
    before = Watch().stop().largest
    embeddings = keras.Input((FEATURES,))
    scale = config.arcface_scale if kind == "arcface" else None
    head = heads.Classifier(classes, centres, scale, spread=True)
    labels = [Label(number, number, 10) for number in range(classes)]
    optimizer = build.optimizer(config, config.phases[0].rate, 2 * steps)
    loss = build.loss(config, labels)
    if kind == "dense":
        head, optimizer = keras.layers.Dense(classes), keras.optimizers.AdamW()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network = keras.Model(embeddings, head(embeddings))
    network.compile(optimizer=optimizer, loss=loss)
    generator = np.random.default_rng(0)
    photos = BATCH * steps
    x = generator.normal(0, FEATURES**-0.5, (photos, FEATURES)).astype(np.float32)
    y = generator.integers(0, classes, photos)
    watches: list[Watch] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: watches.append(Watch()))
    network.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[clock])
    cost = watches[0].stop(steps)
    variables = [*network.variables, *network.optimizer.variables]
    state = sum(map(_on_one_device, variables))
    return HeadCost(cost.seconds, cost.cpu, cost.largest - before, state=state)


def _on_one_device(variable) -> int:
    shards = getattr(variable.value, "addressable_shards", [])  # JAX
    shape = shards[0].data.shape if shards else variable.shape
    size = 4
    for side in shape:
        size *= side
    return size


def ratios() -> dict[str, list[float]]:
    works = {
        head: functools.partial(measured, head, 1, SMALL, "tensorflow", 1, 20)
        for head in ("dense", "softmax", "arcface")
    }
    works["spread"] = functools.partial(measured, "softmax", 1, SMALL, "jax", 8, 20)
    found = in_turns(works, 2)
    dense, spread = found["dense"], found["spread"]
    return {
        "softmax's speed beside a Dense layer": speed(found["softmax"], dense, "cpu"),
        "arcface's speed beside a Dense layer": speed(found["arcface"], dense, "cpu"),
        "state over that of each of 8 devices": [dense[0].state / spread[0].state],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="+", default=GLD2, metavar="N")
    parser.add_argument("--steps", type=int, default=3, metavar="N")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.case:
        print(json.dumps(dataclasses.asdict(run(*flags.case))))
        return
    print("| head | classes | where | state a device, GB | peak, GB | step, s |")
    print("|---|---|---|---|---|---|")
    for classes in flags.classes:
        for head, centres in HEADS:
            for backend, devices in PLACES:
                cost = measured(head, centres, classes, backend, devices, flags.steps)
                name = f"{head} {centres}" if head == "arcface" else head
                print(
                    f"| {name} | {classes:,} | {backend} {devices} | {cost.state / 1e9:.2f} "
                    f"| {cost.largest / 1e3:.1f} | {cost.seconds:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
