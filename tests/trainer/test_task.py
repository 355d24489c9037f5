import collections
import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.main import run
from tests.conftest import ROOT
from tests.trainer.conftest import flags, photo, photos, write_version
from trainer.model import build
from trainer.position import TrainingPosition
from trainer.training import checkpoints


@pytest.fixture(scope="module")
def finished(version_folder, tmp_path_factory) -> list[str]:
    """The command line of a run that is over."""
    job = tmp_path_factory.mktemp("finished") / "job"
    command = [
        *("--data", str(version_folder.parent.parent), "--job_dir", str(job), "--weights", "none"),
        *("--backbone", "mobilenet", "--alpha", "0.25", "--image_size", "32"),
        *("--batch_size", "4", "--epochs", "6", "--scratch_rate", "0.02"),
    ]
    assert run("train", command) == 0
    return command


@pytest.fixture
def job(finished) -> Path:
    return Path(finished[3])


def _history(job: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((job / "history.csv").open()))


def test_a_run_learns_and_leaves_what_it_promises(job):
    rows = _history(job)
    assert list(rows[0]) == [
        *("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "val_gap"),
        *("val_precision", "val_recall", "val_true_probability", "seconds"),
    ]
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 7)]
    assert {row["phase"] for row in rows} == {"scratch"}
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert (job / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((job / "config.json").read_text())["backbone"] == "mobilenet"
    assert sorted(path.name for path in (job / "checkpoints").iterdir()) == [
        "epoch-00005-step-0000000.npz",
        "epoch-00006-step-0000000.npz",
    ]
    card = (job / "export" / "README.md").read_text()
    assert f"| val_gap | {float(rows[-1]['val_gap']):.4f} |" in card


def _check_events(job: Path) -> None:
    """Each epoch's values are in the event files; twice where a kill made an epoch run twice."""
    found = collections.defaultdict(list)
    for path in sorted((job / "logs").glob("*/*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[path.parent.name, value.tag, event.step].append(tf.make_ndarray(value.tensor))
    columns = {
        ("train", "epoch_loss"): "loss",
        ("validation", "epoch_loss"): "val_loss",
        ("validation", "epoch_gap"): "val_gap",
    }
    for row, (tag, column) in itertools.product(_history(job), columns.items()):
        *_, value = found[*tag, int(row["epoch"])]
        assert value == pytest.approx(float(row[column]), abs=1e-5)


def test_event_files_hold_the_history(job):
    _check_events(job)


def test_a_finished_run_again_does_nothing(finished, job, capsys):
    before = {path: path.stat().st_mtime_ns for path in job.rglob("*")}
    assert run("train", finished) == 0
    assert "finished before; nothing to do: 22 photos, 3 classes" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in job.rglob("*")} == before


def test_another_run_in_the_same_folder_is_refused(finished, capsys):
    assert run("train", [*finished, "--seed", "5"]) == 2
    assert "holds a run with other settings (seed: 0, now 5)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_killed_twice_ends_as_if_it_had_not_been(finished, job, tmp_path, capsys):
    killed = tmp_path / "job"
    command = [*finished, "--job_dir", str(killed), "--checkpoint_every", "1"]
    for wanted in (TrainingPosition(0, 2), TrainingPosition(2, 1)):
        stopped = _kill_after(wanted, command, killed)
        assert wanted <= stopped < TrainingPosition(6)

    assert run("train", command) == 0
    assert f"continuing after epoch {stopped.epoch}, step {stopped.step}" in capsys.readouterr().out
    rows, whole = _history(killed), _history(job)
    assert [row["epoch"] for row in rows] == [row["epoch"] for row in whole]
    for row, other in zip(rows, whole, strict=True):
        assert float(row["loss"]) == pytest.approx(float(other["loss"]), rel=1e-3)
        assert float(row["accuracy"]) == pytest.approx(float(other["accuracy"]), abs=1e-6)
        assert float(row["seconds"]) > 0
    _check_events(killed)


def _kill_after(wanted: TrainingPosition, command: list[str], job: Path) -> TrainingPosition:
    """Ends a run in the hard way once a checkpoint is there; returns where the newest stands."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.task", *command], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while checkpoints.latest(str(job / "checkpoints")) < wanted and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return checkpoints.latest(str(job / "checkpoints"))


def test_a_damaged_checkpoint_is_named(finished, job, tmp_path, capfd):
    shutil.copytree(job, tmp_path / "job")
    (tmp_path / "job" / "done.json").unlink()
    newest = tmp_path / "job" / "checkpoints" / "epoch-00006-step-0000000.npz"
    newest.write_bytes(newest.read_bytes()[:5000])
    assert run("train", [*finished, "--job_dir", str(tmp_path / "job")]) == 2
    line = _our_line(capfd.readouterr().err)
    assert f"{newest} is damaged" in line


@pytest.mark.slow
def test_the_head_is_carried_over_when_the_classes_grow(config, tmp_path, capsys, monkeypatch):
    """Clean first, then everything: two of three landmarks, then three in another order."""
    carried = []

    def seen(network, *args):
        grown = usual(network, *args)
        carried.extend(np.array(each.get_layer("logits").kernel) for each in (network, grown))
        return grown

    usual = build.with_new_classes
    monkeypatch.setattr(build, "with_new_classes", seen)
    clean = write_version(tmp_path / "clean", _of_classes(0, 1), _of_classes(0, 1), classes=2)
    full = write_version(tmp_path / "full", photos(0, 21), photos(100, 9))
    (full / "labels.csv").write_text("label,landmark_id,images\n0,999,7\n1,1000,7\n2,1001,7\n")
    command = flags(config, data=f"{clean},{full}", epochs=(8, 1), scratch_rate=0.02)
    assert run("train", command) == 0
    shown = capsys.readouterr().out
    assert f"scratch 2 on {full}: epochs 9 to 9" in shown
    assert [row["phase"] for row in _history(Path(config.job_dir))][-2:] == ["scratch", "scratch 2"]
    labels = (Path(config.job_dir) / "export" / "labels.csv").read_text()
    assert labels.splitlines()[1] == "0,999,7"
    before, after = carried
    assert np.ptp(before) > 0
    np.testing.assert_array_equal(after[:, 1:], before)  # 999 is new, and first
    exported = keras.models.load_model(Path(config.job_dir) / "export" / "model.keras")
    trained = exported.get_layer("logits").get_weights()[0]
    assert 0 < np.abs(trained[:, 1:] - before).max() < 0.5 * np.ptp(before)  # an epoch further


def _of_classes(*labels: int) -> list:
    return [record for record in photos(0, 30) if record.label in labels]


@pytest.mark.slow
def test_two_phases_continue_at_the_border_with_few_photos_and_no_validation(
    pretrained, tmp_path, capsys
):
    write_version(tmp_path / "data", photos(0, 3), [])
    job = Path(pretrained.job_dir)
    command = flags(pretrained, data=tmp_path / "data")
    assert run("train", command) == 0
    for gone in ("checkpoints/epoch-00002-step-0000000.npz", "done.json"):
        (job / gone).unlink()
    assert run("train", command) == 0
    shown = capsys.readouterr().out
    assert "continuing after epoch 1, step 0" in shown
    assert "the dataset has no validation split" in shown
    assert [(row["phase"], row["val_gap"]) for row in _history(job)] == [("head", ""), ("fine", "")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "/nowhere"}, "--data /nowhere: no such folder"),
        ({"job_dir": "/dev/null/job"}, "--job_dir /dev/null/job: cannot be used"),
        ({"job_dir": "foo://bucket/job"}, "--job_dir foo://bucket/job: cannot be used"),
        ({"backbone": "alexnet"}, "--backbone alexnet: expected one of"),
        ({"batch_size": "many"}, "--batch_size: expected a whole number, found 'many'"),
        ({"epochs": "x"}, "--epochs: expected a whole number"),
        ({"epochs": "3,1"}, "--epochs 3,1: expected 1, a number for each of --data"),
        ({"device": "gpu"}, "--device gpu: TensorFlow finds none here"),
        ({"device": "tpu"}, "--device tpu: no TPU here"),
        ({"weights": "/nowhere.h5"}, "--weights /nowhere.h5: cannot be read"),
        ({"speed": "3"}, "unrecognized arguments: --speed 3"),
    ],
)
def test_a_mistake_is_one_line(config, capfd, changes, message):
    assert run("train", flags(config, **changes)) == 2
    line = _our_line(capfd.readouterr().err)
    assert line.startswith(f"gld2 train: error: {message}")


def test_a_label_out_of_range_is_one_line(config, tmp_path, capfd):
    write_version(tmp_path / "data", [*photos(0, 7), photo(7, 3)], [])
    assert run("train", flags(config, data=tmp_path / "data")) == 2
    line = _our_line(capfd.readouterr().err)
    shard = "gld2-train.tfrecord-00001-of-00002 record 4"
    assert line.endswith(f"{shard}: photo 0000000000000007: label 3, but labels.csv ends at 2")


@pytest.mark.parametrize(
    ("error", "code"),
    [(tf.errors.UnavailableError, 1), (tf.errors.PermissionDeniedError, 2)],
)
def test_a_store_that_does_not_answer_is_no_mistake(config, monkeypatch, capfd, error, code):
    """As the exit code tells, by which whoever started it knows whether to try again."""

    def fails(folder: str) -> TrainingPosition:
        raise error(None, None, "it said 503\nand more")

    monkeypatch.setattr(checkpoints, "latest", fails)
    assert run("train", flags(config)) == code
    line = _our_line(capfd.readouterr().err)
    message = "cannot be used: it said 503 and more"
    assert line == f"gld2 train: error: --job_dir {config.job_dir}: {message}"


def _our_line(stderr: str) -> str:
    assert "Traceback" not in stderr
    (line,) = (line for line in stderr.splitlines() if line.startswith("gld2 train"))
    return line
