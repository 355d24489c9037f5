"""Photos through an exported model, a unit at a time; score and embed both use it."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import engine, files, parts, progress, records, source
from pipelines.handler import LandmarkHandler
from pipelines.images import Unreadable
from pipelines.layout import Output
from pipelines.network import CHUNK, Prediction
from pipelines.parts import Parts, Scored
from pipelines.schema import Reject
from pipelines.source import Part
from pipelines.stage import stage
from pipelines.unit import Effort, Parameters, Unit


@dataclasses.dataclass(frozen=True)
class Records:
    """Photos that are staged or sharded already.

    Attributes:
      name: of the file.
      path: of the file.
      checksum: by which another file of that name is told from it.
    """

    name: str
    path: str
    checksum: str


@dataclasses.dataclass(frozen=True)
class Key:
    """Whose predictions they are.

    Attributes:
      unit: what the photos came in.
      number: of the chunk in its unit, from 0.
      is_last: whether it is the unit's last.
      ids: of the photos.
      landmark_ids: that they are known to show, or None.
    """

    unit: Unit | Records
    number: int
    is_last: bool
    ids: tuple[str, ...]
    landmark_ids: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Photos:
    """What is scored.

    Attributes:
      items: tars, splits of loose photos and files of records.
      parameters: how photos of the first two are normalised.
    """

    items: tuple[Part | Records, ...]
    parameters: Parameters

    def units(self) -> Iterator[Unit | Records]:
        """In their order; of loose photos, their CSV is read for it."""
        for item in self.items:
            yield from _expand(item)


def of_records(paths: Iterable[str]) -> tuple[Records, ...]:
    """Raises UserError where two files have the same name."""
    paths = list(paths)
    found = parts.names(path.rpartition("/")[2].replace(".tfrecord", "") for path in paths)
    return tuple(Records(n, p, files.checksum(p)) for n, p in zip(found, paths, strict=True))


def _expand(item: Part | Records) -> Iterator[Unit | Records]:
    if isinstance(item, Records):
        yield item
    else:
        yield from source.expand(item)


@dataclasses.dataclass
class Predict(beam.PTransform):
    """Units, loose splits and files of records -> the name of each part that is written.

    A part is written by the step that follows the network in the same bundle, so
    that a killed run finds what it had done, and no photo or prediction is
    shuffled. What is done already is passed over.
    """

    parts: Parts
    parameters: Parameters
    effort: Effort
    handler: LandmarkHandler

    def __post_init__(self):
        super().__init__()

    def expand(self, items):
        keyed: KeyedModelHandler = KeyedModelHandler(self.handler)
        return (
            items  # Part | Records
            | "SpreadItems" >> beam.Reshuffle()
            | "Expand" >> beam.FlatMap(_expand)  # Unit | Records
            | "SpreadUnits" >> beam.Reshuffle()
            | "Open" >> beam.FlatMap(open_unit, self.parts, self.parameters, self.effort)
            # (Key, [photo])
            | "Infer" >> RunInference(keyed)  # (Key, [Prediction | Unreadable])
            | "Keep" >> beam.ParDo(Keep(self.parts, self.effort.progress))
        )


def open_unit(
    unit: Unit | Records, kept: Parts, parameters: Parameters, effort: Effort
) -> Iterator[tuple[Key, list[bytes]]]:
    """The photos of a unit that is not done, normalised as for training, in chunks.

    What cannot be read is written to the unit's rejects at once. A unit of a
    source is staged on the worker's disk first: no photo is scored before the
    archive's md5 is right, and none is scored twice when it is fetched again.
    """
    if kept.is_done(unit.name, unit):
        return
    if isinstance(unit, Records):
        kept.write_rejects(unit.name, [])
        yield from _keyed(unit, records.read_labelled(unit.path), kept)
        return
    with tempfile.TemporaryDirectory(prefix="gld2-") as folder:
        output = Output(folder)
        summary = stage(unit, output, parameters, effort)
        engine.count("bytes", summary.get("bytes", 0))
        rejects = parts.read_rejects(output.rejects(unit.name))
        kept.write_rejects(unit.name, [dataclasses.replace(r, stage="score") for r in rejects])
        if "failed" not in summary:
            found = records.read_labelled(output.staged(unit.name))
            yield from _keyed(unit, found, kept)


def _keyed(
    unit: Unit | Records, photos: Iterator[tuple[str, bytes, int | None]], kept: Parts
) -> Iterator[tuple[Key, list[bytes]]]:
    chunks = iter(lambda: list(itertools.islice(photos, CHUNK)), [])
    ahead = next(chunks, None)
    if ahead is None:  # no chunk will tell the step that writes parts of this unit
        kept.write(unit.name, unit, [], parts.read_rejects(kept.rejects(unit.name)))
    for number in itertools.count():
        if ahead is None:
            return
        chunk, ahead = ahead, next(chunks, None)
        ids, encoded, landmark_ids = zip(*chunk, strict=True)
        yield Key(unit, number, ahead is None, ids, landmark_ids), list(encoded)


class Keep(beam.DoFn):
    """Predictions, those of a unit one after the other -> its part's name, once it is written."""

    def __init__(self, kept: Parts, progress_folder: str | None):
        self._parts = kept
        self._progress = progress_folder

    def start_bundle(self):
        # By unit: more than one is open only where an engine works on several at once.
        self._rows: dict[str, list[Scored]] = collections.defaultdict(list)
        self._bad: dict[str, list[Reject]] = collections.defaultdict(list)

    def process(self, element: tuple[Key, list[Prediction | Unreadable]]) -> Iterator[str]:
        key, predictions = element
        name = key.unit.name
        for image_id, known, found in zip(key.ids, key.landmark_ids, predictions, strict=True):
            if isinstance(found, Unreadable):
                self._bad[name].append(Reject(image_id, name, "score", found.reason, found.detail))
            else:
                self._rows[name].append(Scored(image_id, known, found))
        engine.count("photos", len(key.ids))
        progress.add(self._progress, photos=len(key.ids))
        if key.is_last:
            self._write(key)
            yield name

    def _write(self, last: Key) -> None:
        name = last.unit.name
        rows, bad = self._rows.pop(name, []), self._bad.pop(name, [])
        photos = last.number * CHUNK + len(last.ids)
        if photos != len(rows) + len(bad):
            raise AssertionError(f"{name}: {photos} photos in, {len(rows)} + {len(bad)} out")
        earlier = parts.read_rejects(self._parts.rejects(name))
        self._parts.write(name, last.unit, rows, [*earlier, *bad])

    def finish_bundle(self):
        if left := sorted({*self._rows, *self._bad}):
            raise AssertionError(f"a bundle ended inside {', '.join(left)}")


def predict(
    photos: Photos,
    kept: Parts,
    effort: Effort,
    handler: LandmarkHandler,
    beam_options: PipelineOptions,
    title: str,
) -> Mapping[str, int]:
    """Scores what is not scored yet; prints how fast, and returns the counters."""
    with progress.bar(title, files.join(kept.root, "progress"), "photos") as folder:
        step = Predict(
            kept, photos.parameters, dataclasses.replace(effort, progress=folder), handler
        )
        counters = engine.run(
            lambda p: p | beam.Create(photos.items, reshuffle=False) | step, beam_options
        )
    _print(title, counters)
    return counters


def _print(title: str, counters: Mapping[str, int]) -> None:
    batches = counters.get("inference_request_batch_size/count", 0)
    if not batches:
        print(f"{title}: every photo was scored before")
        return
    latency = counters["inference_batch_latency_micro_secs/sum"] / batches / 1e3
    size = counters["inference_request_batch_byte_size/sum"] / 1e6
    loading = counters.get("load_model_latency_milli_secs/max", 0) / 1e3
    print(
        f"{title}: {counters['photos']} photos ({size:.1f} MB) in {batches} batches, "
        f"{latency:.0f} ms each on average; {loading:.1f} s to load the model and warm it up"
    )
