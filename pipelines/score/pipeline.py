"""Runs an exported model on photos, a unit at a time, for `gld2 score` and `gld2 embed`."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import tempfile
from collections.abc import Iterator, Mapping

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths
from pipelines.common.errors import unequal
from pipelines.common.paths import Output
from pipelines.common.reasons import Reject
from pipelines.download.options import StagingOptions
from pipelines.download.staging import stage
from pipelines.imaging.normalize import Unreadable
from pipelines.runner import engine, progress
from pipelines.runner.options import decoding_threads
from pipelines.runner.transform import Transform
from pipelines.score import inputs, model
from pipelines.score.inputs import Encoded, Folder, Photos, Records
from pipelines.score.model import CHUNK, ModelPath, Prediction
from pipelines.score.model_handler import LandmarkHandler
from pipelines.score.options import InferenceOptions
from pipelines.score.prediction_store import Inputs, Parts, ScoredPhoto
from pipelines.source.unit import RecordParameters, Unit, UnitFailure
from pipelines.storage import filesystem, photo_records
from pipelines.storage.rejects import read_rejects

AnyUnit = Unit | Records | Folder


@dataclasses.dataclass(frozen=True)
class Key:
    """The identity of a chunk of photos, with which its predictions are stored.

    Attributes:
      unit: the unit that the photos belong to.
      number: the chunk's number in its unit, from 0.
      is_last: whether it is the unit's last chunk.
      ids: the photos' ids.
      landmark_ids: for each photo, the landmark that it is known to show, or None.
    """

    unit: AnyUnit
    number: int
    is_last: bool
    ids: tuple[str, ...]
    landmark_ids: tuple[int | None, ...]


@dataclasses.dataclass
class Predict(Transform):
    """Predicts for items of photos, and gives the name of each part that it writes.

    A part is written by the step that follows the network in the same bundle, so
    that a run that goes on after a kill finds the finished parts, and no photo or
    prediction is shuffled. Units that are final already are skipped.

    Attributes:
      parts: the folder that predictions are written to.
      parameters: how photos are read and normalised.
      staging: attempts and threads for staging a source's units.
      handler: loads and runs the model.
    """

    parts: Parts
    parameters: RecordParameters
    staging: StagingOptions
    handler: LandmarkHandler

    def expand(self, items):
        """Items (Part, Records or Folder) -> names of the units whose parts were written."""
        keyed: KeyedModelHandler = KeyedModelHandler(self.handler)
        return (
            items  # Item
            | "SpreadItems" >> beam.Reshuffle()
            | "Expand" >> beam.FlatMap(inputs.expand)  # Unit | Records | Folder
            | "SpreadUnits" >> beam.Reshuffle()
            | "Open" >> beam.FlatMap(open_unit, self.parts, self.parameters, self.staging)
            # (Key, [photo])
            | "Infer" >> RunInference(keyed)  # (Key, [Prediction | Unreadable])
            | "Keep" >> beam.ParDo(Keep(self.parts))
        )


def open_unit(
    unit: AnyUnit, parts: Parts, parameters: RecordParameters, staging: StagingOptions
) -> Iterator[tuple[Key, list[bytes]]]:
    """Yields the photos of a unit in chunks, normalised as for training; none if it is final.

    A unit of a source is staged on the worker's disk first: no photo is scored
    before the archive's md5 is verified, and none is scored twice when the archive
    is fetched again.

    Args:
      unit: photos of a source, of records or of a folder.
      parts: the folder of predictions.
      parameters: how photos are read and normalised.
      staging: attempts and threads for staging.
    """
    if parts.is_final(unit.name, unit):
        return
    if not isinstance(unit, Unit):
        rejects: list[Reject] = []
        yield from _chunks(unit, unit.read(parameters.normal, rejects), parts, rejects)
        return
    with tempfile.TemporaryDirectory(prefix="gld2-") as folder:
        output = Output(folder)
        summary = stage(unit, output, parameters, staging)
        staged = read_rejects(output.rejects(unit.name))
        rejects = [dataclasses.replace(reject, stage="score") for reject in staged]
        if isinstance(summary, UnitFailure):
            parts.write_rejects(unit.name, rejects)
        else:
            found = photo_records.read_labelled(output.staged(unit.name))
            yield from _chunks(unit, found, parts, rejects)


def _chunks(
    unit: AnyUnit, encoded: Iterator[Encoded], parts: Parts, rejects: list[Reject]
) -> Iterator[tuple[Key, list[bytes]]]:
    """Yields chunks; rejects are written before the last one, as the next step adds to them."""
    number, chunk = 0, list(itertools.islice(encoded, CHUNK))
    if not chunk:
        parts.write(unit.name, unit, [], rejects)
    while chunk:
        ahead = list(itertools.islice(encoded, CHUNK))
        if not ahead:
            parts.write_rejects(unit.name, rejects)
        ids, data, landmark_ids = zip(*chunk, strict=True)
        yield Key(unit, number, not ahead, ids, landmark_ids), list(data)
        number, chunk = number + 1, ahead


class Keep(beam.DoFn):
    """Writes a unit's predictions when its last chunk comes, and gives the unit's name.

    The chunks of a unit come in order, and in one bundle.
    """

    def __init__(self, parts: Parts):
        self._parts = parts

    def start_bundle(self):
        """Starts with no predictions."""
        # By unit: more than one is open only where an engine works on several at once.
        self._rows: dict[str, list[ScoredPhoto]] = collections.defaultdict(list)
        self._bad: dict[str, list[Reject]] = collections.defaultdict(list)

    def process(self, element: tuple[Key, list[Prediction | Unreadable]]) -> Iterator[str]:
        """Collects the predictions of one chunk."""
        key, predictions = element
        name = key.unit.name
        for image_id, known, found in zip(key.ids, key.landmark_ids, predictions, strict=True):
            if isinstance(found, Unreadable):
                self._bad[name].append(Reject(image_id, name, "score", found.reason, found.detail))
            else:
                self._rows[name].append(ScoredPhoto(image_id, known, found))
        engine.count("photos", len(key.ids))
        if key.is_last:
            self._write(key)
            yield name

    def _write(self, last: Key) -> None:
        name = last.unit.name
        rows, bad = self._rows.pop(name, []), self._bad.pop(name, [])
        photos = last.number * CHUNK + len(last.ids)
        if photos != len(rows) + len(bad):
            raise unequal(f"{name}: {photos} photos in, {len(rows)} + {len(bad)} out")
        earlier = read_rejects(self._parts.rejects(name))
        self._parts.write(name, last.unit, rows, [*earlier, *bad])

    def finish_bundle(self):
        """Raises UserError where a unit's last chunk did not come."""
        if left := sorted({*self._rows, *self._bad}):
            raise unequal(f"a bundle ended inside {', '.join(left)}")


@dataclasses.dataclass(frozen=True)
class ScoringJob:
    """Photos to score, the model, and the folder for the predictions.

    Attributes:
      photos: the photos to score.
      place: the model's location.
      parts: the folder that predictions are written to.
      top_k: number of classes kept for each photo.
      embed: whether embeddings are wanted.
    """

    photos: Photos
    place: ModelPath
    parts: Parts
    top_k: int
    embed: bool

    @property
    def inputs(self) -> Inputs:
        """What the predictions depend on, apart from each unit's photos."""
        return Inputs(self.place.digest, self.photos.parameters, self.top_k, self.embed)


def find_job(options: InferenceOptions, root: str, top_k: int, embed: bool) -> ScoringJob:
    """Returns the job that the flags of inference describe.

    Args:
      options: the flags.
      root: the folder that predictions are written to.
      top_k: number of classes kept for each photo.
      embed: whether embeddings are wanted.

    Raises:
      UserError: the model or the photos cannot be found or read.
    """
    place = model.find(options.model.model)
    place.labels()  # to report a bad model before any photo is fetched
    photos = inputs.find_photos(options, inputs.normalization_of(place.export))
    return ScoringJob(photos, place, Parts(root), top_k, embed)


def predict(
    job: ScoringJob, options: InferenceOptions, beam_options: PipelineOptions, title: str
) -> None:
    """Scores the units that are not final and prints the speed; loads no model if all are.

    Args:
      job: photos, model and output.
      options: how photos are fetched and batched.
      beam_options: the runner and its flags.
      title: the command's name in messages.
    """
    final = _final(job)
    if all(final.values()):
        print(f"{title}: every photo was scored before")
        return
    workers = decoding_threads(options.fetch.threads, beam_options)
    handler = LandmarkHandler(job.place, options.model.batch_size, workers, job.top_k, job.embed)
    staging = StagingOptions(options.fetch.attempts, workers)
    step = Predict(job.parts, job.photos.parameters, staging, handler)
    with progress.bar(title, _unit_counter(job.parts, final), "units", len(final), job.parts.root):
        counters = engine.run(
            lambda p: p | beam.Create(job.photos.items, reshuffle=False) | step, beam_options
        )
    if batches := counters.get("inference_request_batch_size/count"):
        _print(title, counters, batches)


def _final(job: ScoringJob) -> dict[str, bool]:
    """Returns whether each unit is final, by name; reads only the done files that exist."""
    there = filesystem.listing(job.parts.root)
    done = {paths.join(job.parts.root, name) for name in there}
    return {
        unit.name: job.parts.done(unit.name) in done and job.parts.is_final(unit.name, unit)
        for unit in job.photos.units()
    }


def _unit_counter(parts: Parts, final: Mapping[str, bool]) -> progress.Look:
    """Returns a counter of finished units; units not final before count once rewritten."""
    ending = parts.done("").rpartition("/")[2]
    again = [name for name, is_final in final.items() if not is_final]
    finished = progress.Finished(parts.root, ending, final, again)
    return lambda: {"units": finished.count(filesystem.listing(parts.root))}


def _print(title: str, counters: Mapping[str, int], batches: int) -> None:
    latency = counters["inference_batch_latency_micro_secs/sum"] / batches / 1e3
    size = counters["inference_request_batch_byte_size/sum"] / 1e6
    loading = counters.get("load_model_latency_milli_secs/max", 0) / 1e3
    print(
        f"{title}: {counters['photos']} photos ({size:.1f} MB) in {batches} batches, "
        f"{latency:.0f} ms each on average; {loading:.1f} s to load the model and warm it up"
    )
