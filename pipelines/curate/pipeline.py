"""Pipeline 2: decides from facts and metadata which images are kept, each with its reason."""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TypeVar

import apache_beam as beam
import pandas as pd
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths, schema
from pipelines.common.errors import UserError
from pipelines.common.labels import Label, format_labels
from pipelines.common.options.curation import CurateOptions
from pipelines.common.paths import Output, join
from pipelines.common.records.curation import Curation
from pipelines.curate import decisions, summary
from pipelines.curate.inputs import with_filters
from pipelines.curate.join import Join
from pipelines.curate.near_duplicates import duplicates, pair_search
from pipelines.curate.vocabulary import NO_LABELS, Labels, LearnLabels
from pipelines.runner import engine, partition, progress
from pipelines.runner.partition import Repartition
from pipelines.runner.transform import Transform
from pipelines.source.discover import Source
from pipelines.source.staged_units import summaries
from pipelines.source.unit import UnitSummary
from pipelines.storage import filesystem, parquet, streams

HASHED = ["id", "split", "sha256"]  # columns that are shuffled to find files of the same bytes
T = TypeVar("T")
Keyed = tuple[int, pd.DataFrame]  # (number of a partition by id, its table)
THRESHOLDS = (1, 2, 3, 4, 5, 10, 20, 50, 100)  # images per class for which what-if counts are given


@dataclasses.dataclass
class Curate(Transform):
    """Writes decisions, labels.csv, transform_fn and done.json: lists of paths of facts -> None.

    Attributes:
      source: its metadata is joined to the facts.
      output: where everything is written.
      parameters: thresholds and seed.
      rows: total number of facts, which sets the number of partitions and is checked at the end.
      has_train: whether there are train images, from which labels are learned.
      temp_dir: temporary folder of TensorFlow Transform.
      inputs: digest of facts and metadata, kept in done.json.
    """

    source: Source
    output: Output
    parameters: CurateOptions
    rows: int
    has_train: bool
    temp_dir: str
    inputs: str

    @property
    def searched(self) -> bool:
        """Whether near-duplicate pairs were searched for."""
        return self.has_train and self.parameters.near_duplicate_radius is not None

    def expand(self, paths):
        """Returns a PCollection of one None, which is there once everything is written."""
        parts = partition.partition_count(self.rows)
        facts = paths | "Spread" >> beam.Reshuffle() | "ReadFacts" >> beam.Map(read_facts)  # table
        joined, unseen = facts | "Join" >> Join(self.source, self.parameters.filters, parts)
        removals = self._removals(joined, parts)
        deduped = joined | "Dedupe" >> beam.Map(
            deduplicate, beam.pvalue.AsSingleton(removals)
        )  # (partition, table: DEDUPED)
        labels = self._labels(deduped)  # Labels
        labelled = deduped | "Label" >> beam.Map(
            label, beam.pvalue.AsSingleton(labels)
        )  # (partition, table: FINAL)
        classes = (
            labelled
            | "Train" >> beam.MapTuple(lambda _, table: _train(table))
            | "ByLandmark" >> Repartition(partition.by_number("landmark_id", parts))
            | "Classes" >> beam.Map(decisions.classes, self.parameters)
        )  # Classes
        return (
            labelled
            | "Validation" >> beam.Map(validate, beam.pvalue.AsIter(classes))
            | "Write" >> beam.Map(write_part, self.output, parts)  # part, sha256, funnel
            | "Collect" >> beam.combiners.ToList()
            | "Finish"
            >> beam.Map(finish, self, beam.pvalue.AsIter(classes), beam.pvalue.AsIter(unseen))
        )

    def _removals(self, joined, parts):
        """Returns one table of the images that are removed as duplicates of another."""
        radius = self.parameters.near_duplicate_radius
        exact = (
            joined
            | "Comparable" >> beam.MapTuple(lambda _, table: duplicates.comparable(table)[HASHED])
            | "BySha256" >> Repartition(partition.by_hex("sha256", parts))
            | "SameBytes" >> beam.Map(duplicates.exact_pairs)
        )  # table: PAIR
        near = (
            joined.pipeline
            | "NearPairs" >> beam.Create([self.output] if radius is not None else [])
            | "ReadPairs" >> beam.Map(pair_search.read, radius)
        )  # table: PAIR
        alike = beam.pvalue.AsList((exact, near) | "Pairs" >> beam.Flatten())
        linked = joined | "Tables" >> beam.Values() | "Linked" >> beam.Map(duplicates.linked, alike)
        return (
            joined.pipeline
            | "Once" >> beam.Create([self.parameters])
            | "Resolve" >> beam.Map(resolve, beam.pvalue.AsList(linked), alike)
        )

    def _labels(self, deduped):
        if not self.has_train:
            return deduped.pipeline | "NoLabels" >> beam.Create([NO_LABELS])
        return (
            deduped
            | "KeptTrain" >> beam.MapTuple(lambda _, table: _open(table[table["split"] == "train"]))
            | "Labels"
            >> LearnLabels(
                self.parameters.min_images_per_class, self.output.transform_fn, self.temp_dir
            )
        )


# ---- the steps ------------------------------------------------------------------------------


def read_facts(paths: Sequence[str]) -> pd.DataFrame:
    """Returns the facts of some units as one table."""
    return pd.concat([parquet.read(path, decisions.FACTS) for path in paths], ignore_index=True)


def resolve(
    parameters: CurateOptions, linked: list[pd.DataFrame], alike: list[pd.DataFrame]
) -> pd.DataFrame:
    """Returns the images that are removed as duplicates, with the reasons.

    All tables fit in memory: a few percent of all images have a duplicate.

    Args:
      parameters: how conflicts and leaks are resolved.
      linked: tables of the images that are in a pair.
      alike: tables of pairs.
    """
    images = pd.concat([parquet.empty(decisions.WORK), *linked], ignore_index=True)
    found = pd.concat([parquet.empty(schema.PAIRS), *alike], ignore_index=True)
    return duplicates.resolve(images, found, parameters.on_conflict, parameters.exclude_leaks_from)


def deduplicate(keyed: Keyed, removals: pd.DataFrame) -> Keyed:
    """Marks the images of a partition that are removed as duplicates."""
    part, images = keyed
    return part, duplicates.apply(images, removals)[list(decisions.DEDUPED)]


def label(keyed: Keyed, labels: Labels) -> Keyed:
    """Adds the labels of a partition's images."""
    part, images = keyed
    return part, decisions.label(images, labels)


def validate(keyed: Keyed, classes: Iterable[decisions.Classes]) -> Keyed:
    """Moves the images of a partition that were chosen for validation to that split."""
    part, images = keyed
    return part, decisions.to_validation(images, classes)


def _open(images: pd.DataFrame) -> pd.DataFrame:
    return images[images["reason"].isna()]


def _train(images: pd.DataFrame) -> pd.DataFrame:
    return images.loc[images["split"] == "train", list(decisions.TRAIN)]


# ---- output files --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class WrittenPart:
    """A file of decisions that was written.

    Attributes:
      number: of the file, from 0.
      sha256: of its bytes, 64 hex digits.
      funnel: counts of its images, with the keys of Curation.funnel.
    """

    number: int
    sha256: str
    funnel: dict[str, int]


def write_part(keyed: Keyed, output: Output, parts: int) -> WrittenPart:
    """Writes one file of decisions, and returns its number, digest and counts."""
    part, images = keyed
    images = images.sort_values(["id", "split", "unit", "offset"])
    path = join(output.decisions, f"decisions-{paths.shard_suffix(part, parts)}.parquet")
    digest = parquet.write(path, images, schema.DECISIONS)
    return WrittenPart(part, digest, dict(decisions.funnel(images)))


def add(counts: Iterable[dict[T, int]]) -> dict[T, int]:
    """Returns the sum of dicts of counts, key by key."""
    total: collections.Counter[T] = collections.Counter()
    for some in counts:
        total.update(some)
    return dict(total)


def finish(
    written: list[WrittenPart],
    curate: Curate,
    classes: Iterable[decisions.Classes],
    unseen: Iterable[dict[str, int]],
) -> None:
    """Checks that every image has a decision, then writes labels.csv and, last, done.json.

    Args:
      written: the files of decisions.
      curate: the transform that wrote them.
      classes: all landmarks, in parts.
      unseen: counts of repeated, contradictory or unmatched rows of metadata, in parts.

    Raises:
      AssertionError: the numbers of facts and decisions differ.
    """
    counts = add(part.funnel for part in written)
    dropped = sum(n for key, n in counts.items() if key.startswith("dropped/"))
    kept = sum(n for key, n in counts.items() if key.startswith("kept/"))
    images = counts.get("images", 0)
    if not curate.rows == images == dropped + kept:
        raise AssertionError(f"{curate.rows} facts, {images} decisions, {kept} + {dropped} counted")
    found = list(classes)
    labels = pd.concat([parquet.empty(decisions.KEPT), *(some.kept for some in found)])
    labels = labels.sort_values("label")
    rows = labels[["label", "landmark_id", "images"]].itertuples(index=False)
    text = format_labels(Label(*map(int, row)) for row in rows)
    filesystem.write(curate.output.labels, text)
    thresholds = (*THRESHOLDS, curate.parameters.min_images_per_class)
    done = Curation(
        funnel=counts,
        unseen=add(unseen),
        classes_before=sum(some.seen for some in found),
        classes=len(labels),
        what_if=decisions.what_if(add(some.sizes for some in found), thresholds),
        parameters=curate.parameters,
        pairs=pair_search.counts(curate.output) if curate.searched else {},
        inputs=curate.inputs,
        decisions_sha256=[part.sha256 for part in sorted(written, key=lambda p: p.number)],
    )
    filesystem.write_record(curate.output.decisions_done, done)


# ---- the command ----------------------------------------------------------------------------


def curate(
    source: Source,
    output: Output,
    splits: Sequence[str],
    parameters: CurateOptions,
    beam_options: PipelineOptions,
) -> Curation:
    """Curates unless the same decisions are there already; prints and returns their done.json.

    Args:
      source: its metadata is joined to the facts.
      output: has the staged units; decisions are written there.
      splits: whose images are decided on.
      parameters: thresholds and seed.
      beam_options: of the pipelines.

    Raises:
      UserError: nothing is staged, or metadata cannot be read.
    """
    source = with_filters(source, parameters.filters)
    staged = _staged(output, {*splits, *parameters.exclude_leaks_from})
    has_train = any(unit.split == "train" for unit in staged)
    if has_train and not source.train_csv:
        raise UserError(f"--source {source.root}: found no {paths.TRAIN_CSV}")
    inputs = _digest(staged, source)
    if not _is_done(output, parameters, inputs):
        _remove_old(output)
        if has_train and parameters.near_duplicate_radius is not None:
            pair_search.find(output, staged, beam_options)
        images = sum(unit.images for unit in staged)
        temp_dir = join(output.root, "temp")
        transform = Curate(source, output, parameters, images, has_train, temp_dir, inputs)
        _decide(transform, staged, beam_options)
    done = filesystem.read_record(Curation, output.decisions_done)
    summary.print_summary(output, done)
    return done


def _decide(
    transform: Curate, staged: Sequence[UnitSummary], beam_options: PipelineOptions
) -> None:
    """Runs the transform on the facts of the staged units."""
    output = transform.output
    batches = partition.batches({output.facts(unit.unit): unit.images for unit in staged})
    parts = partition.partition_count(transform.rows)
    count_written = functools.partial(_count_written, output)
    with progress.bar("curate", count_written, "files", parts, output.root):
        engine.run(lambda p: p | beam.Create(batches) | transform, beam_options)
    filesystem.remove(transform.temp_dir)


def _count_written(output: Output) -> progress.Counts:
    """Returns how many files of decisions are written."""
    names = filesystem.listing(output.decisions)
    return {"files": sum(name.endswith(".parquet") for name in names)}


def _staged(output: Output, splits: set[str]) -> list[UnitSummary]:
    """Returns the summaries of the units of these splits; prints which splits have none."""
    staged = [s for s in summaries(output) if s.split in splits]
    if not any(s.split in schema.SPLITS for s in staged):
        raise UserError(f"{output.done('*')}: nothing is staged; run gld2 download first")
    for split in sorted(splits - {s.split for s in staged}):
        print(f"curate: no {split} photos are staged; continuing without")
    return staged


def _is_done(output: Output, parameters: CurateOptions, inputs: str) -> bool:
    if not filesystem.exists(output.decisions_done):
        return False
    done = filesystem.read_record(Curation, output.decisions_done)
    return done.inputs == inputs and done.parameters == parameters


def _remove_old(output: Output) -> None:
    """Removes earlier decisions.

    They may be more files than the new ones, and none of them may stay beside these.
    """
    filesystem.remove(output.decisions_done)
    filesystem.remove(output.labels, output.transform_fn, *_parts(output))
    filesystem.remove_temporaries(output.decisions)


def _parts(output: Output) -> list[str]:
    return filesystem.match(join(output.decisions, "decisions-*.parquet"))


def _digest(staged: list[UnitSummary], source: Source) -> str:
    """Returns the digest of what decisions depend on: the facts and the versions of metadata."""
    units = [[s.unit, s.facts_sha256] for s in staged]
    csvs = (source.train_csv, source.clean_csv, source.attribution_csv, source.categories_csv)
    versions = [streams.version(path) for path in csvs if path]
    return hashlib.sha256(json.dumps([units, versions], sort_keys=True).encode()).hexdigest()
