"""One run: phases, epochs, checkpoints, and what is left when it ends."""

from __future__ import annotations

import dataclasses
import json
import sys

import keras
import tensorflow as tf

from pipelines.schema import VALIDATION, UserError
from trainer import (
    checkpoints,
    config,
    data,
    dataset,
    events,
    export,
    files,
    history,
    metrics,
    model,
)
from trainer.config import Config, Phase
from trainer.dataset import Version
from trainer.history import Row


@dataclasses.dataclass(frozen=True)
class Job:
    """The paths of a job folder."""

    folder: str

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    @property
    def checkpoints(self) -> str:
        return self.path("checkpoints")

    @property
    def history(self) -> str:
        return self.path("history.csv")

    @property
    def done(self) -> str:
        return self.path("done.json")


def run(settings: Config) -> dict:
    """Trains, or continues to, or finds it done.

    Args:
      settings: the run.

    Returns:
      What done.json holds: images, classes, parameters, epochs, seconds, the last epoch's
      metrics, and `again`, whether all was done before.

    Raises:
      UserError: data or weights that cannot be used, or a job folder of another run.
    """
    version = dataset.find(settings.data)
    job = Job(settings.job_dir.rstrip("/"))
    _claim(job, config.dumps(settings, version.digest))
    if tf.io.gfile.exists(job.done):
        return {**json.loads(files.read(job.done)), "again": True}
    # From 1, as tf.data compares a seed with 0 where the global seed is 0; a tensor cannot be.
    keras.utils.set_random_seed(settings.seed + 1)
    network = model.build(settings, len(version.labels))
    try:
        rows = _train(network, settings, version, job)
    except tf.errors.OpError as error:
        problem = data.user_error(error, version)
        if problem is None:
            raise
        raise problem from error
    return {**_finish(network, settings, version, job, rows), "again": False}


def _claim(job: Job, wanted: str) -> None:
    """Makes the folder this run's, or makes sure that it is."""
    path = job.path("config.json")
    begun = tf.io.gfile.exists(job.done) or checkpoints.latest(job.checkpoints)
    if begun and tf.io.gfile.exists(path):
        found = config.differences(files.read(path), wanted)
        if found:
            raise UserError(
                f"{job.folder} holds another run ({'; '.join(found)}): give another --job_dir"
            )
        return
    try:
        tf.io.gfile.makedirs(job.folder)
        files.write(path, wanted)
    except tf.errors.OpError as error:
        raise UserError(f"--job_dir {job.folder}: cannot be written to: {error.message}") from error


def _train(network: keras.Model, settings: Config, version: Version, job: Job) -> list[Row]:
    """Runs what is left of the phases; returns the whole history."""
    steps = data.steps_per_epoch(version, settings)
    done = checkpoints.latest(job.checkpoints)
    rows = history.read(job.history, done)
    for phase in settings.phases:
        if phase.last < done:
            continue
        model.compile_for(network, settings, phase, steps * (phase.last - phase.first))
        if phase.first < done:
            checkpoints.restore(network, job.checkpoints, done)
            print(f"continuing after epoch {done}", flush=True)
        if done < phase.last:
            _fit(network, settings, version, job, phase, max(done, phase.first), rows)
    return rows


def _fit(
    network: keras.Model,
    settings: Config,
    version: Version,
    job: Job,
    phase: Phase,
    done: int,
    rows: list[Row],
) -> None:
    print(f"{phase.name}: epochs {done + 1} to {phase.last}", flush=True)
    network.fit(
        data.training(version, settings, first_epoch=done),
        steps_per_epoch=data.steps_per_epoch(version, settings),
        initial_epoch=done,
        epochs=phase.last,
        shuffle=False,  # the dataset does
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=_callbacks(settings, version, job, phase, rows),
    )


def _callbacks(
    settings: Config, version: Version, job: Job, phase: Phase, rows: list[Row]
) -> list[keras.callbacks.Callback]:
    """In an order that matters: measured, logged, written, and only then saved."""
    measured = []
    if version.has_validation:
        batches = data.evaluation(version, settings, VALIDATION)
        measured = [metrics.Validation(batches, settings.batch_size)]
    return [
        checkpoints.Reseed(settings.seed),
        *measured,
        events.Events(job.path("logs")),
        history.History(job.history, phase.name, rows),
        checkpoints.Checkpoints(job.checkpoints),
    ]


def _finish(
    network: keras.Model, settings: Config, version: Version, job: Job, rows: list[Row]
) -> dict:
    folder = job.path("export")
    history.draw(job.path("curves.png"), rows)
    export.export(network, settings, version, rows[-1], folder)
    tf.io.gfile.copy(job.path("config.json"), f"{folder}/config.json", overwrite=True)
    summary = {
        "images": version.images["train"],
        "classes": len(version.labels),
        "parameters": network.count_params(),
        "epochs": len(rows),
        "seconds": round(sum(float(row["seconds"]) for row in rows), 1),
        **{name: float(rows[-1][name]) for name in metrics.METRICS if rows[-1].get(name)},
        "export": folder,
    }
    files.write(job.done, json.dumps(summary, indent=2) + "\n")
    return summary
