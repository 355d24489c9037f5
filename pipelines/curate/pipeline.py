"""Pipeline 2: decides from facts and metadata which images are kept, each with its reason."""

from __future__ import annotations

import collections
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import apache_beam as beam
import pandas as pd
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common import paths, schema
from pipelines.common.errors import UserError, unequal
from pipelines.common.labels import Label, format_labels
from pipelines.common.options.curation import CurateOptions
from pipelines.common.paths import Output, join
from pipelines.common.records.curation import Curation
from pipelines.curate import decisions, summary
from pipelines.curate.join import Join
from pipelines.curate.near_duplicates import duplicates, pair_search
from pipelines.curate.vocabulary import NO_LABELS, LearnLabels
from pipelines.runner import engine, partition, progress
from pipelines.runner.partition import Repartition
from pipelines.runner.transform import Transform
from pipelines.source.discover import Source
from pipelines.source.staged_units import check_complete, summaries
from pipelines.source.unit import UnitSummary
from pipelines.storage import filesystem, hashing, parquet, streams

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
      missing: names of units that could not be staged.
    """

    source: Source
    output: Output
    parameters: CurateOptions
    rows: int
    has_train: bool
    temp_dir: str
    inputs: str
    missing: list[str] = dataclasses.field(default_factory=list)

    @property
    def searches_pairs(self) -> bool:
        """Returns whether near-duplicate pairs are searched for: only train images are removed."""
        return self.has_train and self.parameters.near_duplicate_radius is not None

    def expand(self, paths):
        """Returns a PCollection of one None, which is there once everything is written."""
        parts = partition.partition_count(self.rows)
        facts = paths | "Spread" >> beam.Reshuffle() | "ReadFacts" >> beam.Map(read_facts)  # table
        joined, unseen = facts | "Join" >> Join(self.source, self.parameters.filters, parts)
        removals = self._removals(joined, parts)
        deduped = joined | "Dedupe" >> beam.Map(
            on_table, deduplicate, beam.pvalue.AsSingleton(removals)
        )  # (partition, table: DEDUPED)
        labels = self._labels(deduped)  # Labels
        labelled = deduped | "Label" >> beam.Map(
            on_table, decisions.label, beam.pvalue.AsSingleton(labels)
        )  # (partition, table: FINAL)
        classes = (
            labelled
            | "Train" >> beam.MapTuple(lambda _, table: _train(table))
            | "ByLandmark" >> Repartition(partition.by_number("landmark_id", parts))
            | "Classes" >> beam.Map(decisions.classes, self.parameters)
        )  # Classes
        return (
            labelled
            | "Validation"
            >> beam.Map(on_table, decisions.to_validation, beam.pvalue.AsIter(classes))
            | "Write" >> beam.Map(write_part, self.output, parts)  # part, sha256, funnel
            | "Collect" >> beam.combiners.ToList()
            | "Finish"
            >> beam.Map(finish, self, beam.pvalue.AsIter(classes), beam.pvalue.AsIter(unseen))
        )

    def _removals(self, joined, parts):
        """Returns one table of the images that are removed as duplicates of another."""
        exact = (
            joined
            | "Comparable" >> beam.MapTuple(lambda _, table: duplicates.comparable(table)[HASHED])
            | "BySha256" >> Repartition(partition.by_hex("sha256", parts))
            | "SameBytes" >> beam.Map(duplicates.exact_pairs)
        )  # table: PAIR
        near = (
            joined.pipeline
            | "NearPairs" >> beam.Create([self.output] if self.searches_pairs else [])
            | "ReadPairs" >> beam.Map(pair_search.read, self.parameters.near_duplicate_radius)
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


def on_table(keyed: Keyed, function: Callable[..., pd.DataFrame], side: Any) -> Keyed:
    """Returns a partition's number and `function(table, side)`, for `beam.Map` with a side input.

    Args:
      keyed: number and table of the partition.
      function: makes the new table.
      side: the value of the side input.
    """
    part, images = keyed
    return part, function(images, side)


def deduplicate(images: pd.DataFrame, removals: pd.DataFrame) -> pd.DataFrame:
    """Marks the images that are removed as duplicates; returns columns DEDUPED."""
    return duplicates.apply(images, removals)[list(decisions.DEDUPED)]


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
      UserError: the numbers of facts and decisions differ.
    """
    found = list(classes)
    labels = pd.concat([parquet.empty(decisions.KEPT), *(some.kept for some in found)])
    labels = labels.sort_values("label")
    thresholds = (*THRESHOLDS, curate.parameters.min_images_per_class)
    done = Curation(
        funnel=add(part.funnel for part in written),
        unseen=add(unseen),
        classes_before=sum(some.seen for some in found),
        classes=len(labels),
        what_if=decisions.what_if(add(some.sizes for some in found), thresholds),
        parameters=curate.parameters,
        pairs=pair_search.counts(curate.output) if curate.searches_pairs else {},
        inputs=curate.inputs,
        missing=curate.missing,
        decisions_sha256=[part.sha256 for part in sorted(written, key=lambda p: p.number)],
    )
    kept, dropped = sum(done.kept.values()), done.dropped.total()
    if not curate.rows == done.images == kept + dropped:
        found_in = f"{curate.rows} facts, {done.images} decisions"
        raise unequal(f"{found_in}, {kept} + {dropped} counted")
    rows = labels[["label", "landmark_id", "images"]].itertuples(index=False)
    filesystem.write(curate.output.labels, format_labels(Label(*map(int, row)) for row in rows))
    filesystem.write_record(curate.output.decisions_done, done)


# ---- the command ----------------------------------------------------------------------------


def curate(
    source: Source,
    output: Output,
    splits: Sequence[str],
    parameters: CurateOptions,
    beam_options: PipelineOptions,
    allow_incomplete: bool = False,
) -> Curation:
    """Curates unless the same decisions are there already; prints and returns their done.json.

    Args:
      source: its metadata is joined to the facts; from `inputs.with_filters`.
      output: has the staged units; decisions are written there.
      splits: whose images are decided on.
      parameters: thresholds and seed.
      beam_options: of the pipelines.
      allow_incomplete: whether units may be missing that could not be staged.

    Raises:
      UserError: nothing is staged, units are missing, or metadata cannot be read.
    """
    wanted = {*splits, *parameters.exclude_leaks_from}
    staged = _staged(output, wanted)
    missing = check_complete(output, wanted, allow_incomplete)
    has_train = any(unit.split == "train" for unit in staged)
    if has_train and not source.train_csv:
        raise UserError(f"--source {source.root}: found no {paths.TRAIN_CSV}")
    inputs = _digest(staged, missing, source)
    if not _is_done(output, parameters, inputs):
        _remove_old(output)
        images = sum(unit.images for unit in staged)
        temp_dir = _temp_dir(output.root)
        transform = Curate(source, output, parameters, images, has_train, temp_dir, inputs, missing)
        if transform.searches_pairs:
            pair_search.find(output, staged, beam_options)
        _decide(transform, staged, beam_options)
    done = filesystem.read_record(Curation, output.decisions_done)
    summary.print_summary(output, done)
    if has_train and done.classes < 2:
        raise UserError(
            f"{output.labels}: expected two landmarks or more to train on, found {done.classes}; "
            f"--min_images_per_class is {parameters.min_images_per_class}, and the counts above "
            "tell why images were dropped"
        )
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


def _temp_dir(root: str) -> str:
    """Returns a folder for TensorFlow Transform, whose path TensorFlow takes for no pattern."""
    if not filesystem.looks_like_pattern(root):
        return join(root, "temp")
    if filesystem.on_disk(root):
        return tempfile.mkdtemp(prefix="gld2-")
    bucket = "/".join(root.split("/")[:3])
    return join(bucket, f"gld2-temp-{hashing.sha256(root.encode())[:16]}")


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
    old = filesystem.match(output.decision_files)
    filesystem.remove(output.labels, output.transform_fn, *old)
    filesystem.remove_temporaries(output.decisions)


def _digest(staged: list[UnitSummary], missing: list[str], source: Source) -> str:
    """Returns the digest of what decisions depend on: facts, missing units, metadata."""
    units = [[s.unit, s.facts_sha256] for s in staged]
    csvs = (source.train_csv, source.clean_csv, source.attribution_csv, source.categories_csv)
    versions = [streams.version(path) for path in csvs if path]
    return hashing.json_digest([units, versions, *([missing] if missing else [])])
