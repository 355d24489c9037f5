"""Runs `gld2 train` several times in one process, and notes what cannot be seen from outside.

    python -m tests.trainer.watched NOTES.json < RUNS.json

RUNS.json is a list of `Run`s as objects. NOTES.json has for each of them what main returned
('stopped' where it was stopped) and, for each epoch, a `Watch` note. CPUS=2 gives TensorFlow two.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import keras

import trainer.train
from trainer import export, heads, metrics, task

_COMPILED = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass
class Run:
    """A command line.

    Attributes:
      command: flags.
      stop_after: an epoch after which it is given up, from 1; 0: none.
      serve: whether a SavedModel is made, which takes most of the time of a short run.
    """

    command: list[str]
    stop_after: int = 0
    serve: bool = False


class Stopped(Exception):
    """After the epoch that a run was to be given up after."""


class Watch(keras.callbacks.Callback):
    """Adds a note for each epoch: functions built after each step and at its end; the head.

    Args:
      notes: gets them.
      built: tells how many have been compiled or traced so far.
      stop_after: epochs.
    """

    def __init__(self, notes: list[dict], built: Callable[[], int], stop_after: int = 0) -> None:
        super().__init__()
        self._notes = notes
        self._built = built
        self._stop_after = stop_after
        self._steps: list[int] = []

    def on_train_batch_end(self, batch, logs=None):
        self._steps.append(self._built())

    def on_epoch_end(self, epoch, logs=None):
        kernel = self.model.get_layer(heads.LOGITS).kernel.value
        shards = [list(shard.data.shape) for shard in getattr(kernel, "addressable_shards", [])]
        self._notes.append(
            {
                "steps": self._steps,
                "built": self._built(),
                "kernel": list(kernel.shape),
                "shards": shards,
            }
        )
        self._steps = []
        if epoch + 1 == self._stop_after:
            raise Stopped


def traced(callbacks: list[keras.callbacks.Callback]) -> int:
    """How many graphs TensorFlow has made of the training step and the validation step."""
    networks = [callbacks[0].model]
    networks += [each._judging for each in callbacks if isinstance(each, metrics.Validation)]
    functions = [networks[0].train_function, *(each.predict_function for each in networks[1:])]
    return sum(each.experimental_get_tracing_count() for each in functions if each is not None)


def _compilations() -> Callable[[], int]:
    import jax

    seen: list[float] = []

    def listen(event: str, seconds: float, **_: object) -> None:
        if event == _COMPILED:
            seen.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return lambda: len(seen)


def _split_cpu(parts: int) -> None:
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)


def main() -> None:
    runs = [Run(**each) for each in json.load(sys.stdin)]
    on_jax = keras.config.backend() == "jax"
    compilations = _compilations() if on_jax else None
    if not on_jax:
        _split_cpu(int(os.environ["CPUS"]))
    usual, serve = trainer.train._callbacks, export._serve
    found = []
    for run in runs:
        notes: list[dict] = []

        def callbacks(*args, run=run, notes=notes):
            some = usual(*args)
            return [*some, Watch(notes, compilations or (lambda: traced(some)), run.stop_after)]

        trainer.train._callbacks = callbacks
        export._serve = serve if run.serve else lambda path, folder: None
        try:
            code = task.main(run.command)
        except Stopped:
            code = "stopped"
        found.append({"code": code, "epochs": notes})
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
