"""Runs of `gld2 train`, one after another in one process, that can be looked into.

    python -m tests.trainer.runs FOLDER < RUNS.json

RUNS.json is a list of `Run`s as objects. FOLDER/N.npz has what `_look` finds in the network that
the Nth left behind. CPUS=2 in the environment splits TensorFlow's CPU in two.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipelines import main as gld2
from trainer import config, devices, distribution, export
from trainer.model import build as model_build
from trainer.position import TrainingPosition
from trainer.training import checkpoints

SIDE = 32


@dataclasses.dataclass(frozen=True)
class Run:
    """A command line.

    Attributes:
      command: flags.
      devices: how many there are to be; 0: all.
      kill_at: [epoch, step] of the checkpoint at which the process is killed; [] for none.
      served: whether its SavedModel is wanted, which takes most of the time of a short run, and its
        logits; without it, nothing is exported.
    """

    command: list[str]
    devices: int = 0
    kill_at: list[int] = dataclasses.field(default_factory=list)
    served: bool = False


def photos() -> np.ndarray:
    """[8, side, side, 3] uint8: what a network is asked about in the end; each has a colour."""
    generator = np.random.default_rng(0)
    colours = generator.uniform(0, 255, (8, 1, 1, 3))
    return np.clip(generator.normal(colours, 40, (8, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


@dataclasses.dataclass
class Seen:
    """What a run lets be seen.

    Attributes:
      networks: those it built; the first is trained, the second, where there is one, exported.
      traces: how often the training step ran in Python: once for each device and graph of it.
    """

    networks: list[keras.Model] = dataclasses.field(default_factory=list)
    traces: int = 0


def _prepare(run: Run) -> Seen:
    """Puts what the run asks for between it and the trainer."""
    seen = Seen()
    find, build, save = devices.find_devices, model_build.build, checkpoints.save

    def some_devices(device: str) -> devices.Devices:
        found = find(device)
        return dataclasses.replace(found, names=found.names[: run.devices or None])

    def kept(*args) -> keras.Model:
        network = build(*args)
        step = network.train_step

        @functools.wraps(step)
        def counted(*data):
            seen.traces += 1
            return step(*data)

        network.train_step = counted
        seen.networks.append(network)
        return network

    def fatal(network, folder, place, *args, **kwargs) -> None:
        if place == TrainingPosition(*run.kill_at):
            os.kill(os.getpid(), signal.SIGKILL)
        save(network, folder, place, *args, **kwargs)

    devices.find_devices, model_build.build = some_devices, kept
    if run.kill_at:
        checkpoints.save = fatal
    if not run.served:
        export.make_saved_model = lambda path, folder: None
    return seen


def _look(seen: Seen, served: bool) -> dict[str, np.ndarray]:
    """The head's shape, the parts of it and their devices; traces; logits of `photos`; AdamW's
    averages of the gradients, all in one row."""
    network = seen.networks[0]
    averages = [v for v in network.optimizer.variables if v.path.endswith("_momentum")]
    kernel = network.get_layer(config.LOGITS).kernel.value
    shards = getattr(kernel, "addressable_shards", [])  # JAX
    return {
        "kernel": np.array(kernel.shape),
        "shards": np.array([shard.data.shape for shard in shards]),
        "devices": np.array([shard.device.id for shard in shards]),
        "traces": np.array(seen.traces),
        "gradients": np.concatenate([distribution.to_numpy(each).ravel() for each in averages]),
        "logits": network.predict_on_batch(photos()) if served else np.array([]),
    }


def main(folder: str) -> None:
    if "CPUS" in os.environ:
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * int(os.environ["CPUS"])
        tf.config.set_logical_device_configuration(cpu, parts)
    usual = devices.find_devices, model_build.build, checkpoints.save, export.make_saved_model
    for number, run in enumerate(Run(**each) for each in json.load(sys.stdin)):
        devices.find_devices, model_build.build, checkpoints.save, export.make_saved_model = usual
        seen = _prepare(run)
        print(f"run {number}", flush=True)
        if gld2.run("train", run.command):
            sys.exit(f"run {number} failed")
        np.savez(Path(folder) / f"{number}.npz", **_look(seen, run.served))


if __name__ == "__main__":
    main(sys.argv[1])
