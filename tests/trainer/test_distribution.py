"""The same training on one device and on many: eight CPUs stand in for a TPU v3-8.

JAX wants its devices before it starts, and this process is TensorFlow's: the runs have processes
of their own (`runs.py`).
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import ROOT
from tests.engines import services
from tests.trainer import runs
from tests.trainer.conftest import photos, write_version
from tests.trainer.runs import Run
from trainer import distribution, task
from trainer.compare import time_budget
from trainer.devices import Devices
from trainer.position import TrainingPosition
from trainer.training import checkpoints

pytestmark = pytest.mark.slow

EPOCHS = 3
# Rounding differs with the number of devices, and AdamW makes much of the smallest gradients: up to
# 1e-3 was seen. With each device normalising its own photos, losses differed by 7e-3 and more.
RATE, NOISE = 1e-5, 3e-3
# The same rounding makes AdamW's averages of the gradients stray by up to 0.08 of their length;
# leaving out one of eight equal parts of independent gradients would come to sqrt(1/8) = 0.35.
STRAY = 0.2

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="needs the extra 'test' or 'tpu'"
)


@dataclasses.dataclass(frozen=True)
class Done:
    """What runs of one process left.

    Attributes:
      folder: with a job folder for each.
    """

    folder: Path

    def losses(self, number: int) -> list[float]:
        rows = list(csv.DictReader((self.folder / f"job{number}" / "history.csv").open()))
        assert len(rows) == EPOCHS
        return [float(row[name]) for row in rows for name in ("loss", "val_loss")]

    def look(self, number: int) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"{number}.npz") as file:
            return dict(file)

    def gradients_stray(self, number: int, other: Done, of_other: int) -> float:
        """How far the gradients' averages are from another run's, as a share of their length."""
        mine, theirs = self.look(number)["gradients"], other.look(of_other)["gradients"]
        assert len(mine) > 100_000
        return float(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))

    def log(self, number: int) -> list[str]:
        """The lines of one run, those of JAX's compiler among them."""
        text = (self.folder / "log").read_text()
        return text.split("run ")[number + 1].splitlines()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """40 photos to train on: five steps of 8."""
    return write_version(tmp_path_factory.mktemp("data") / "1.0.0", photos(0, 40), photos(100, 7))


def _command(data: Path, job: Path, **changes: object) -> list[str]:
    """A small network with everything that devices could disagree about: normalisation, dropout,
    and a head whose loss depends on its features from the first step on."""
    values = {"data": data, "job_dir": job, "backbone": "mobilenet", "alpha": 0.25}
    values |= {"weights": "none", "image_size": runs.SIDE, "epochs": EPOCHS, "batch_size": 8}
    values |= {"head": "arcface", "subcentres": 3, "scratch_rate": RATE, "bn_momentum": 0}
    values |= changes
    return [part for name, value in values.items() for part in (f"--{name}", str(value))]


def _start(folder: Path, several: Iterable[Run], **environment: str) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    (folder / "runs.json").write_text(json.dumps([dataclasses.asdict(run) for run in several]))
    with (folder / "runs.json").open() as given, (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.trainer.runs", str(folder)],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
            stdin=given,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _run(folder: Path, several: Iterable[Run], **environment: str) -> Done:
    return _finished(folder, _start(folder, several, **environment), 0)


def _finished(folder: Path, process: subprocess.Popen, expected: int) -> Done:
    try:
        code = process.wait(timeout=900)
    finally:
        process.kill()
    assert code == expected, (folder / "log").read_text()[-3000:]
    return Done(folder)


# ---- JAX ------------------------------------------------------------------------------------

# A batch of all photos as they are, which two hosts share in another order than one sees them.
WHOLE = {"batch_size": 40, "dropout": 0, "crop": 1, "colour": 0, "flip": 0, "shard_head": "on"}


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory) -> dict[str, str]:
    """JAX's environment. What one process compiles is there for the next."""
    return {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_LOG_COMPILES": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling is most of what these tests do
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def _devices(number: int) -> dict[str, str]:
    return {"XLA_FLAGS": f"--xla_force_host_platform_device_count={number}"}


SPREAD, ONE, TWELVE, ONE_TWELVE, ONE_WHOLE = range(5)


@pytest.fixture(scope="module")
def jax_runs(tmp_path_factory, data, on_jax) -> Done:
    """One run on eight devices that is killed in its second epoch and goes on; and others."""
    folder = tmp_path_factory.mktemp("jax")
    jobs = [folder / f"job{number}" for number in range(5)]
    spread = _command(data, jobs[SPREAD], shard_head="on", checkpoint_every=2)
    killed = _start(folder, [Run(spread, kill_at=[1, 4])], **on_jax, **_devices(8))
    _finished(folder, killed, -signal.SIGKILL)
    assert checkpoints.latest(str(jobs[SPREAD] / "checkpoints")) == TrainingPosition(1, 2)
    several = [
        Run(spread, served=True),
        Run(_command(data, jobs[ONE], shard_head="on"), devices=1),
        Run(_command(data, jobs[TWELVE], batch_size=12)),
        Run(_command(data, jobs[ONE_TWELVE], batch_size=12), devices=1),
        Run(_command(data, jobs[ONE_WHOLE], **WHOLE), devices=1),
    ]
    return _run(folder, several, **on_jax, **_devices(8))


@needs_jax
def test_eight_devices_killed_in_an_epoch_end_with_the_losses_of_one(jax_runs):
    log = jax_runs.log(SPREAD)
    assert "training on 8 cpu, Keras on jax" in log
    assert "continuing after epoch 1, step 2" in log
    assert jax_runs.losses(SPREAD) == pytest.approx(jax_runs.losses(ONE), rel=NOISE)
    assert jax_runs.gradients_stray(SPREAD, jax_runs, ONE) < STRAY


@needs_jax
def test_the_head_lies_on_all_eight_a_part_on_each(jax_runs):
    found = jax_runs.look(SPREAD)
    features, columns = found["kernel"]
    assert found["shards"].tolist() == [[features, columns // 8]] * 8
    assert sorted(found["devices"]) == list(range(8))


@needs_jax
def test_a_batch_that_does_not_divide_is_spread_over_fewer(jax_runs):
    log = jax_runs.log(TWELVE)
    assert "training on 6 cpu, Keras on jax" in log
    assert any("let --batch_size be a multiple of 8" in line for line in log)
    found = jax_runs.look(TWELVE)
    assert found["shards"].tolist() == [found["kernel"].tolist()] * 6  # a copy on each
    assert jax_runs.losses(TWELVE) == pytest.approx(jax_runs.losses(ONE_TWELVE), rel=NOISE)
    assert jax_runs.gradients_stray(TWELVE, jax_runs, ONE_TWELVE) < STRAY


@needs_jax
@pytest.mark.parametrize("number", [SPREAD, ONE, TWELVE, ONE_TWELVE, ONE_WHOLE])
def test_jax_compiles_a_step_once(jax_runs, number):
    """Also where the run went on within an epoch, which is two calls of Keras' fit."""
    log = jax_runs.log(number)
    ends = [i for i, line in enumerate(log) if "val_loss" in line]  # of epochs
    assert len(ends) == (2 if number == SPREAD else EPOCHS)
    compiled = [line for line in log[: ends[-1]] if "Finished XLA compilation" in line]
    assert sum("jit(train_step)" in line for line in compiled) == 1
    later = [line for line in log[ends[0] : ends[-1]] if "Finished XLA compilation" in line]
    assert not later


@needs_jax
def test_tensorflow_serves_what_jax_trained(jax_runs):
    export = jax_runs.folder / f"job{SPREAD}" / "export"
    expected = tf.nn.softmax(jax_runs.look(SPREAD)["logits"]).numpy()
    assert np.ptp(expected, axis=0).max() > 0.01  # it does look at the photos
    network = keras.models.load_model(export / "model.keras")
    np.testing.assert_allclose(network.predict(runs.photos(), verbose=0), expected, atol=1e-4)
    np.testing.assert_allclose(_served(export), expected, atol=1e-4)


@pytest.mark.long
@needs_jax
def test_epochs_are_fitted_to_minutes_on_two_devices(data, tmp_path, on_jax):
    command = _command(data, tmp_path / "job0")
    done = subprocess.run(
        [sys.executable, "-m", "trainer.compare.time_budget", *command],
        cwd=ROOT,
        env=os.environ | on_jax | _devices(2),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (pace,) = time_budget.read(task.parse(command))
    assert pace.epoch > 0


@pytest.mark.long
@needs_jax
def test_two_hosts_have_the_losses_of_one(jax_runs, tmp_path, data, on_jax):
    address = f"localhost:{services.free_port()}"
    both = []
    for host in range(2):
        run = Run(_command(data, tmp_path / "job0", **WHOLE))
        keras_on = {"JOB_ADDRESSES": address, "NUM_PROCESSES": "2", "PROCESS_ID": str(host)}
        environment = {f"KERAS_DISTRIBUTION_{name}": value for name, value in keras_on.items()}
        folder = tmp_path / f"host{host}"
        both.append((folder, _start(folder, [run], **environment, **on_jax, **_devices(4))))
    for folder, process in both:
        done = _finished(folder, process, 0)
        assert "training on 8 cpu on 2 hosts, Keras on jax" in done.log(0)
        features, columns = done.look(0)["kernel"]
        assert done.look(0)["shards"].tolist() == [[features, columns // 8]] * 4
        assert done.gradients_stray(0, jax_runs, ONE_WHOLE) < STRAY
    rows = Done(tmp_path).losses(0)
    assert rows == pytest.approx(jax_runs.losses(ONE_WHOLE), rel=NOISE)


# ---- TensorFlow -----------------------------------------------------------------------------

ONE_CPU, TWO_CPUS, HALF = range(3)


@pytest.fixture(scope="module")
def tensorflow_runs(tmp_path_factory, data) -> Done:
    folder = tmp_path_factory.mktemp("tensorflow")
    jobs = [folder / f"job{number}" for number in range(3)]
    several = [
        Run(_command(data, jobs[ONE_CPU], dropout=0), devices=1),
        Run(_command(data, jobs[TWO_CPUS], dropout=0)),  # each would drop others
        Run(_command(data, jobs[HALF], dropout=0, precision="bfloat16"), devices=1, served=True),
    ]
    return _run(folder, several, KERAS_BACKEND="tensorflow", CPUS="2")


@pytest.mark.long
def test_two_devices_of_tensorflow_have_the_losses_of_one(tensorflow_runs):
    assert "training on 2 cpu, Keras on tensorflow" in tensorflow_runs.log(TWO_CPUS)
    assert tensorflow_runs.losses(TWO_CPUS) == pytest.approx(
        tensorflow_runs.losses(ONE_CPU), rel=NOISE
    )
    assert tensorflow_runs.gradients_stray(TWO_CPUS, tensorflow_runs, ONE_CPU) < STRAY


@pytest.mark.parametrize(("batches", "used"), [([8], 4), ([6], 3), ([8, 6], 2), ([7], 1)])
def test_a_batch_that_does_not_divide_leaves_some_gpus_idle(batches, used, capsys):
    four = Devices("tensorflow", "gpu", ("a", "b", "c", "d"))
    found = distribution.spread(four, batches, shard_head=False)
    assert found.names == four.names[:used]
    assert ("let --batch_size be a multiple of 4" in capsys.readouterr().out) == (used < 4)


@pytest.mark.long
@pytest.mark.parametrize(("number", "devices"), [(ONE_CPU, 1), (TWO_CPUS, 2), (HALF, 1)])
def test_tensorflow_traces_a_step_once(tensorflow_runs, number, devices):
    assert tensorflow_runs.look(number)["traces"] == devices


@pytest.mark.long
def test_bfloat16_trains_and_leaves_float32(tensorflow_runs):
    exact, half = tensorflow_runs.losses(ONE_CPU)[::2], tensorflow_runs.losses(HALF)[::2]
    assert half == pytest.approx(exact, rel=0.1)
    assert half != pytest.approx(exact, rel=1e-5)  # it did compute in bfloat16
    export = tensorflow_runs.folder / f"job{HALF}" / "export"
    network = keras.models.load_model(export / "model.keras")
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    scores = network.predict(runs.photos(), verbose=0)
    assert np.ptp(scores, axis=0).max() > 0.01
    np.testing.assert_allclose(_served(export), scores, atol=1e-4)


def _served(export: Path) -> np.ndarray:
    """[photos, classes]: what the SavedModel says of the photos' bytes."""
    served = tf.saved_model.load(str(export / "saved_model")).signatures["serving_default"]
    encoded = [tf.io.encode_png(photo).numpy() for photo in runs.photos()]
    return served(image=tf.constant(encoded))["scores"].numpy()
