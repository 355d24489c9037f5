"""Runs a training: its phases, epochs and checkpoints, and the files that it leaves."""

from __future__ import annotations

import dataclasses
import hashlib
import sys

import keras
import tensorflow as tf

from pipelines.common.errors import UserError
from pipelines.common.schema import VALIDATION
from trainer import config, devices, distribution, export, gfile
from trainer.config import Config, Phase, Row
from trainer.data import dataset, diagnose, input_pipeline
from trainer.data.dataset import Version
from trainer.devices import Devices
from trainer.model import build
from trainer.position import START, TrainingPosition
from trainer.training import checkpoints, history, tensorboard, validation
from trainer.training.outcome import Outcome


@dataclasses.dataclass(frozen=True)
class JobFolder:
    """The paths of a job folder.

    Attributes:
      folder: the folder, local or gs://.
    """

    folder: str

    def path(self, name: str) -> str:
        """Returns the path of a file or folder in it."""
        return f"{self.folder}/{name}"

    @property
    def checkpoints(self) -> str:
        """The folder of checkpoints."""
        return self.path("checkpoints")

    @property
    def history(self) -> str:
        """The CSV with the metrics of each epoch."""
        return self.path("history.csv")

    @property
    def done(self) -> str:
        """The path of the `Outcome`, which is written last."""
        return self.path("done.json")


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """The constants of a run.

    Attributes:
      settings: the run's configuration.
      versions: the datasets, in the order in which they are trained on.
      job: the folder of its files.
      devices: the devices that take part.
    """

    settings: Config
    versions: list[Version]
    job: JobFolder
    devices: Devices

    def version(self, phase: Phase) -> Version:
        """Returns the dataset that a phase trains on."""
        return self.versions[phase.dataset]

    @property
    def precision(self) -> str:
        """The precision that the devices compute in."""
        return self.devices.precision(self.settings.precision)


def run(settings: Config) -> tuple[Outcome, bool]:
    """Runs a training, or continues it from its last checkpoint; does nothing if it is done.

    Args:
      settings: the run's configuration.

    Returns:
      The outcome, and whether the run was finished before.

    Raises:
      UserError: data or weights cannot be used, or the job folder belongs to another run.
    """
    found = devices.find_devices(settings.device)
    versions = [dataset.find(folder, settings.cache) for folder in settings.data]
    job = JobFolder(settings.job_dir.rstrip("/"))
    digest = hashlib.sha256("".join(version.digest for version in versions).encode()).hexdigest()
    _claim(job, config.dumps(settings, digest), found)
    if tf.io.gfile.exists(job.done):
        return gfile.read_record(Outcome, job.done), True
    this = TrainingRun(settings, versions, job, spread(settings, versions, found))
    print(f"training on {this.devices}", flush=True)
    # From 1: where the global seed is 0, tf.data compares its own seed with 0, and a tensor
    # cannot be compared so.
    keras.utils.set_random_seed(settings.seed + 1)
    with distribution.scope(this.devices):
        network, rows = _train(this)
    return _finish(network, this, rows), False


def spread(settings: Config, versions: list[Version], found: Devices) -> Devices:
    """Spreads the run's batches, and its head if it is to be, over devices; returns those used.

    Args:
      settings: the run's configuration.
      versions: its datasets.
      found: all devices.

    Raises:
      UserError: as distribution.spread.
    """
    batches = [input_pipeline.batch_size(version, settings) for version in versions]
    spreads = any(build.spreads_head(settings, len(version.labels)) for version in versions)
    return distribution.spread(found, batches, spreads)


def _claim(job: JobFolder, wanted: str, found: Devices) -> None:
    """Reserves the job folder for this run, or checks that it is this run's."""
    path = job.path("config.json")
    with gfile.reaching(f"--job_dir {job.folder}"):
        begun = tf.io.gfile.exists(job.done) or checkpoints.latest(job.checkpoints) > START
        if begun and tf.io.gfile.exists(path):
            changes = config.differences(gfile.read(path), wanted)
            if changes:
                raise UserError(
                    f"{job.folder} holds a run with other settings ({'; '.join(changes)}): "
                    "give another --job_dir"
                )
        elif found.chief:
            tf.io.gfile.makedirs(job.folder)
            gfile.write(path, wanted)


def _train(this: TrainingRun) -> tuple[keras.Model, list[Row]]:
    """Runs the remaining phases; returns the network and the history of all epochs."""
    done = checkpoints.latest(this.job.checkpoints)
    rows = history.read(this.job.history, done.epoch)
    ahead = [phase for phase in this.settings.phases if TrainingPosition(phase.last) >= done]
    labels = this.version(ahead[0]).labels
    network = build.build(this.settings, len(labels), this.precision)
    for phase in ahead:
        version = this.version(phase)
        if version.labels != labels:
            network = build.with_new_classes(
                network, this.settings, labels, version.labels, this.precision
            )
            labels = version.labels
        steps = input_pipeline.steps_per_epoch(version, this.settings) * (phase.last - phase.first)
        batch = input_pipeline.batch_size(version, this.settings)
        build.compile_for(network, this.settings, phase, steps, batch, labels)
        measured: dict[str, float] = {}
        if TrainingPosition(phase.first) < done:
            measured = checkpoints.restore(network, this.job.checkpoints, done)
            print(f"continuing after epoch {done.epoch}, step {done.step}", flush=True)
        begin = max(done, TrainingPosition(phase.first))
        if begin < TrainingPosition(phase.last):
            _fit_phase(network, this, phase, begin, measured, rows)
    return network, rows


def _fit_phase(
    network: keras.Model,
    this: TrainingRun,
    phase: Phase,
    begin: TrainingPosition,
    measured: dict,
    rows: list[Row],
) -> None:
    """Runs a phase from a position to its end; a partial epoch gets a `fit` of its own."""
    version = this.version(phase)
    where = f" on {version.folder}" if len(this.versions) > 1 else ""
    print(f"{phase.title}{where}: epochs {begin.epoch + 1} to {phase.last}", flush=True)
    if begin.step:
        _fit(network, this, phase, begin, begin.epoch + 1, measured, rows)
        begin = TrainingPosition(begin.epoch + 1)
    if begin < TrainingPosition(phase.last):
        _fit(network, this, phase, begin, phase.last, {}, rows)


def _fit(
    network: keras.Model,
    this: TrainingRun,
    phase: Phase,
    begin: TrainingPosition,
    last: int,
    measured: dict,
    rows: list[Row],
) -> None:
    version, host = this.version(phase), this.devices
    batches = input_pipeline.training(version, this.settings, begin, host.host, host.hosts)
    with diagnose.reading(version):
        network.fit(
            batches,
            steps_per_epoch=input_pipeline.steps_per_epoch(version, this.settings) - begin.step,
            initial_epoch=begin.epoch,
            epochs=last,
            shuffle=False,  # the dataset is shuffled already
            verbose=(1 if sys.stdout.isatty() else 2) if host.chief else 0,
            callbacks=_callbacks(network, this, phase, begin, measured, rows),
        )


def _callbacks(
    network: keras.Model,
    this: TrainingRun,
    phase: Phase,
    begin: TrainingPosition,
    measured: dict,
    rows: list[Row],
) -> list[keras.callbacks.Callback]:
    """Returns callbacks in the order they need: measure, log, write history, save last."""
    settings, version, job = this.settings, this.version(phase), this.job
    epochs = checkpoints.WholeEpochs(begin, measured)
    found: list[keras.callbacks.Callback] = [checkpoints.Reseed(settings.seed, begin), epochs]
    if version.has_validation:
        batches = input_pipeline.evaluation(version, settings, VALIDATION)
        size = input_pipeline.batch_size(version, settings)
        found.append(validation.Validation(network, batches, size, this.devices))
    if this.devices.chief:
        found.append(tensorboard.EpochEvents(job.path("logs")))
    found.append(history.History(job.history, phase.title, rows, epochs, this.devices.chief))
    every, chief = settings.checkpoint_every, this.devices.chief
    found.append(checkpoints.Checkpoints(job.checkpoints, every, epochs, chief))
    return found


def _finish(network: keras.Model, this: TrainingRun, rows: list[Row]) -> Outcome:
    version = this.version(this.settings.phases[-1])
    outcome = Outcome(
        images=version.images["train"],
        classes=len(version.labels),
        parameters=network.count_params(),
        epochs=len(rows),
        seconds=round(sum(float(row["seconds"]) for row in rows), 1),
        export=this.job.path("export"),
        **{name: float(rows[-1][name]) for name in config.METRICS if rows[-1].get(name)},
    )
    values = [distribution.to_numpy(variable) for variable in network.variables]
    if this.devices.chief:
        history.draw(this.job.path("curves.png"), rows)
        export.export(values, this.settings, version, rows[-1], outcome.export)
        tf.io.gfile.copy(
            this.job.path("config.json"), f"{outcome.export}/config.json", overwrite=True
        )
        gfile.write_record(this.job.done, outcome)
    return outcome
