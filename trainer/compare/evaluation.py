"""Measures the quality and the speed of compared networks, once their runs are over."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence

import keras
import tensorflow as tf

from pipelines.common.errors import UserError, in_one_line
from pipelines.common.schema import VALIDATION
from pipelines.common.solution import Solution
from trainer import devices, gfile
from trainer.compare import kaggle_test, throughput
from trainer.compare.rows import Row
from trainer.compare.runs import ComparisonRun
from trainer.config import IMAGENET, NO_WEIGHTS
from trainer.data import dataset, diagnose, input_pipeline
from trainer.data.dataset import Version
from trainer.devices import Devices
from trainer.training.outcome import Outcome

_FROM_TRAINING = {  # done.json -> column
    "val_accuracy": "accuracy",
    "val_gap": "gap",
    "val_precision": "precision",
    "val_recall": "recall",
    "val_true_probability": "mean_true_probability",
}


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """The split that all networks are measured on.

    Attributes:
      version: the dataset that the networks were trained on last.
      split: 'test', 'validation', or '' where there is no split to measure on.
      solution: Kaggle's solution of 'test'; None for another split.
      name: the solution file's name.
    """

    version: Version
    split: str
    solution: Solution | None = None
    name: str = ""


def find_evaluation_set(runs: Sequence[ComparisonRun], path: str) -> EvaluationSet:
    """Opens the datasets, which all runs have in common, and the solution if there is one.

    Raises:
      UserError: a file cannot be used, or the runs do not end on the same dataset.
    """
    settings = runs[0].settings
    last = {run.settings.phases[-1].dataset for run in runs if run.trains}
    if len(last) > 1:
        raise UserError("--epochs: expected settings that all end on the same one of --data")
    version = [dataset.find(folder, settings.cache) for folder in settings.data][last.pop()]
    if not path:
        return EvaluationSet(version, VALIDATION if version.has_validation else "")
    dataset.check(version, input_pipeline.TEST)
    return EvaluationSet(
        version, input_pipeline.TEST, kaggle_test.read(path), os.path.basename(path)
    )


def check_weights(runs: Sequence[ComparisonRun]) -> None:
    """Checks that all files of weights exist, before hours are spent on earlier runs.

    Raises:
      UserError: a file does not exist.
    """
    for run in runs:
        path = run.settings.weights
        if path not in (IMAGENET, NO_WEIGHTS) and not tf.io.gfile.exists(path):
            raise UserError(f"{run.network}: weights {path}: no such file")


def fill(
    rows: Sequence[Row], runs: Sequence[ComparisonRun], on: EvaluationSet, batch: int
) -> list[str]:
    """Measures the networks and fills in their rows; the row of one that fails says why.

    Args:
      rows: one for each run.
      runs: the runs, some of which failed, and some of which only have their speed measured.
      on: what the networks are measured on.
      batch: number of photos in the batch that all networks are timed on.

    Returns:
      Notes on what was measured and how.
    """
    found = devices.find_devices(runs[0].settings.device)
    notes = _notes(on, found, batch)
    for row, run in zip(rows, runs, strict=True):
        print(f"compare: measuring {run.name}", flush=True)
        row.device = _title(found)
        try:
            if run.trains and not row.problem:
                notes += _quality(row, run, on)
            _speed(row, run, on, found, batch)
        except (UserError, RuntimeError, tf.errors.OpError) as error:
            row.problem = row.problem or f"it could not be measured: {in_one_line(error)}"
    return list(dict.fromkeys(notes))


def _quality(row: Row, run: ComparisonRun, on: EvaluationSet) -> list[str]:
    """Fills in a trained network's quality; returns notes on how photos and solution match."""
    job = run.settings.job_dir
    done = gfile.read_record(Outcome, f"{job}/done.json")
    row.seconds, row.split = done.seconds, on.split
    if on.solution is None:
        found = {column: getattr(done, name) for name, column in _FROM_TRAINING.items()}
        covered = []
    else:
        scored = _scored(run, on, on.solution)
        found = dict(kaggle_test.measure(scored, on.solution))
        covered = [f"{on.name}: {kaggle_test.coverage(scored, on.solution)}"]
    for column, value in found.items():
        setattr(row, column, value)
    return covered


def _scored(run: ComparisonRun, on: EvaluationSet, truth: Solution) -> kaggle_test.ScoredSplit:
    """Returns the exported network's predictions of the test photos, in float32 on one device."""
    keras.utils.clear_session()
    keras.distribution.set_distribution(None)
    with tempfile.TemporaryDirectory() as local:
        path = f"{local}/model.keras"
        tf.io.gfile.copy(f"{run.settings.job_dir}/export/model.keras", path)
        scorer = keras.models.load_model(path)
    batches = input_pipeline.evaluation(on.version, run.settings, input_pipeline.TEST)
    with diagnose.reading(on.version, input_pipeline.TEST):
        return kaggle_test.predict(scorer, batches, on.version.labels, truth)


def _speed(row: Row, run: ComparisonRun, on: EvaluationSet, found: Devices, batch: int) -> None:
    subject = throughput.speed_settings(run.settings, batch)
    measured = throughput.measure(subject, on.version.labels, found, run.trains)
    row.parameters = measured.parameters
    row.gflops = measured.multiply_adds / 1e9
    row.train_images_per_second = measured.training
    row.inference_images_per_second = measured.inference


def _notes(on: EvaluationSet, found: Devices, batch: int) -> list[str]:
    quality = {
        input_pipeline.TEST: f"measured on the test split, by {on.name} and Kaggle's rules, on the "
        "exported model; precision is the share of predictions that are right, recall that of the "
        "queries with a landmark, as `gld2 evaluate` has them",
        VALIDATION: f"measured on the validation split ({on.version.images.get(VALIDATION, 0):,} "
        "photos), after the last epoch; precision and recall are means over the classes",
        "": "no quality was measured: the dataset has no validation split",
    }
    return [
        quality[on.split],
        "p(true): mean probability of the true class, which the paper calls accuracy",
        "GFLOPs: 1e9 multiply-adds a photo; parameters: that learn, the classifier included",
        f"images/s: the median of some steps on one batch of {batch}, from memory, on "
        f"{_title(found)}; training is that of all layers",
    ]


def _title(found: Devices) -> str:
    cores = f", {os.cpu_count()} cores" if found.kind == "cpu" else ""
    return f"{found}{cores}"
