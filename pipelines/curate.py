"""Pipeline 2: facts and metadata become one decision for each image, with its reason."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import pandas as pd
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import (
    decisions,
    dedupe,
    download,
    engine,
    fetch,
    files,
    layout,
    metadata,
    options,
    progress,
    repartition,
    schema,
    tables,
)
from pipelines.decisions import Parameters
from pipelines.layout import Output
from pipelines.repartition import Repartition
from pipelines.schema import Label, Reason, UserError
from pipelines.source import Source, discover_metadata
from pipelines.vocabulary import NO_LABELS, LearnLabels

EXAMPLES = """\
  gld2 curate --source https://s3.amazonaws.com/google-landmark --output OUT
  gld2 curate --source ROOT --output OUT --min_images_per_class 10 --validation 0.02
"""


LEAKS = 5  # that are named on the terminal; decisions name all


@dataclasses.dataclass
class Curate(beam.PTransform):
    """Paths of facts -> decisions, labels.csv, transform_fn and done.json.

    Attributes:
      source: whose metadata is joined.
      output: where all is written.
      parameters: thresholds and seed.
      rows: of facts, in all; they set the number of partitions and are checked.
      has_train: whether there is anything to learn labels from.
      temp_dir: for TFT.
      inputs: digest of facts and metadata, kept in done.json.
      progress_folder: where a progress bar looks, if one does.
    """

    source: Source
    output: Output
    parameters: Parameters
    rows: int
    has_train: bool
    temp_dir: str
    inputs: str
    progress_folder: str | None = None

    def __post_init__(self):
        super().__init__()

    def expand(self, paths):
        parts = repartition.partitions(self.rows)
        by_id = repartition.by_hex("id", parts)
        tick = beam.Map(progress.passed, self.progress_folder, "tables")
        facts = (
            paths
            | "Spread" >> beam.Reshuffle()
            | "ReadFacts" >> beam.Map(tables.read, decisions.FACTS)
            | "TickRead" >> tick
        )  # table
        joined, unseen = self._join(facts, by_id)
        deduped = (
            joined
            | "BySha256" >> Repartition(repartition.by_hex("sha256", parts))
            | "ExactDuplicates" >> beam.Map(dedupe.drop_exact_duplicates)
            | "TickDeduped" >> tick
        )  # table: WORK
        labels = self._labels(deduped)  # Labels
        decided = (
            deduped
            | "ByLandmark" >> Repartition(repartition.by_number("landmark_id", parts))
            | "Decide"
            >> beam.Map(decisions.decide, beam.pvalue.AsSingleton(labels), self.parameters)
        )  # table: FINAL
        counted = decided | "CountClasses" >> beam.Map(decisions.classes)
        return (
            decided
            | "ById" >> beam.FlatMap(repartition.split, by_id)
            | "Gather" >> beam.GroupByKey()  # (partition, [table])
            | "Write" >> beam.Map(write_part, self.output, parts)  # part, sha256, funnel
            | "TickWritten" >> tick
            | "Collect" >> beam.combiners.ToList()
            | "Finish"
            >> beam.Map(
                finish,
                self,
                beam.pvalue.AsList(counted),
                beam.pvalue.AsList(unseen),
            )
        )

    def _labels(self, deduped):
        if not self.has_train:
            return deduped.pipeline | "NoLabels" >> beam.Create([NO_LABELS])
        return (
            deduped
            | "KeptTrain" >> beam.Map(lambda t: t[t["reason"].isna() & (t["split"] == "train")])
            | "Labels"
            >> LearnLabels(
                self.parameters.min_images_per_class, self.output.transform_fn, self.temp_dir
            )
        )

    def _join(self, facts, by_id):
        pipeline = facts.pipeline
        train = pipeline | "TrainCsv" >> beam.Create(_paths(self.source.train_csv))
        clean = pipeline | "CleanCsv" >> beam.Create(_paths(self.source.clean_csv))
        inputs = {
            "facts": facts,
            "train": train | "ReadTrain" >> beam.FlatMap(metadata.train_rows),
            "clean": clean | "ReadClean" >> beam.FlatMap(metadata.clean_ids),
        }
        keyed = {
            name: table | f"Split_{name}" >> beam.FlatMap(repartition.split, by_id)
            for name, table in inputs.items()
        }
        joined = (
            keyed
            | "GroupById" >> beam.CoGroupByKey()  # (partition, {name: [table]})
            | "Join" >> beam.MapTuple(lambda _, found: decisions.join(**found))
        )  # (table, unseen)
        return joined | "Joined" >> beam.Keys(), joined | "Unseen" >> beam.Values()


# ---- what is written -----------------------------------------------------------------------


def write_part(
    keyed: tuple[int, Iterable[pd.DataFrame]], output: Output, parts: int
) -> dict[str, Any]:
    """Writes one file of decisions; returns its number, digest and funnel."""
    part, found = keyed
    images = pd.concat(list(found)).sort_values(["id", "split", "unit", "offset"])
    path = files.join(output.decisions, f"decisions-{layout.part(part, parts)}.parquet")
    digest = tables.write(path, images, schema.DECISIONS)
    return {"part": part, "sha256": digest, "funnel": dict(decisions.funnel(images))}


def add(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Adds up dicts of counts, key by key."""
    total: collections.Counter[str] = collections.Counter()
    for some in counts:
        total.update(some)
    return dict(total)


def finish(
    written: list[dict[str, Any]],
    curate: Curate,
    counted: list[tuple[int, pd.DataFrame]],
    unseen: list[dict[str, int]],
) -> None:
    """Checks the sum, then writes labels.csv and, last, done.json."""
    funnel = add(part["funnel"] for part in written)
    dropped = sum(n for key, n in funnel.items() if key.startswith("dropped/"))
    kept = sum(n for key, n in funnel.items() if key.startswith("kept/"))
    images = funnel.get("images", 0)
    if not curate.rows == images == dropped + kept:
        raise AssertionError(f"{curate.rows} facts, {images} decisions, {kept} + {dropped} counted")
    labels = pd.concat([table for _, table in counted]).sort_values("label")
    rows = labels[["label", "landmark_id", "images"]].itertuples(index=False)
    text = schema.format_labels(Label(*map(int, row)) for row in rows)
    files.write(curate.output.labels, text)
    done = {
        "funnel": funnel,
        "unseen": add(unseen),
        "classes_before": sum(before for before, _ in counted),
        "classes": len(labels),
        "parameters": dataclasses.asdict(curate.parameters),
        "inputs": curate.inputs,
        "decisions_sha256": [p["sha256"] for p in sorted(written, key=lambda p: p["part"])],
    }
    files.write_json(curate.output.decisions_done, done)


def _paths(path: str | None) -> list[str]:
    return [path] if path else []


# ---- the command ----------------------------------------------------------------------------


def curate(
    source: Source,
    output: Output,
    splits: Sequence[str],
    parameters: Parameters,
    beam_options: PipelineOptions,
) -> dict[str, Any]:
    """Decides, unless the same was decided already; prints and returns done.json.

    Raises:
      UserError: nothing is staged, or metadata cannot be read.
    """
    decided = [name for name in splits if name in schema.SPLITS]
    staged = [s for s in download.summaries(output) if s["split"] in decided]
    if not staged:
        raise UserError(f"{output.done('*')}: nothing is staged; run gld2 download first")
    has_train = any(summary["split"] == "train" for summary in staged)
    if has_train and not source.train_csv:
        raise UserError(f"--source {source.root}: found no {layout.TRAIN_CSV}")
    inputs = _digest(staged, source)
    if not _is_done(output, parameters, inputs):
        _remove_old(output)
        transform = Curate(
            source,
            output,
            parameters,
            sum(summary["images"] for summary in staged),
            has_train,
            files.join(output.root, "temp"),
            inputs,
        )
        paths = [output.facts(summary["unit"]) for summary in staged]
        parts = repartition.partitions(transform.rows)
        with progress.bar(
            "curate", output.progress("curate"), "tables", len(paths) + 2 * parts
        ) as folder:
            transform.progress_folder = folder
            engine.run(lambda p: p | beam.Create(paths) | transform, beam_options)
        files.remove(transform.temp_dir)
    done = files.read_json(output.decisions_done)
    print_funnel(done)
    print_leaks(output, done)
    return done


def _is_done(output: Output, parameters: Parameters, inputs: str) -> bool:
    if not files.exists(output.decisions_done):
        return False
    done = files.read_json(output.decisions_done)
    return done["inputs"] == inputs and done["parameters"] == dataclasses.asdict(parameters)


def _remove_old(output: Output) -> None:
    """Other decisions may have another number of files: none of them may stay among the new."""
    files.remove(output.decisions_done)
    files.remove(output.labels, *_parts(output))
    files.remove_temporaries(output.decisions)


def _parts(output: Output) -> list[str]:
    return files.match(files.join(output.decisions, "decisions-*.parquet"))


def _digest(staged: list[dict[str, Any]], source: Source) -> str:
    """Of all that decisions are made from: the facts, and metadata's versions."""
    units = [[s["unit"], s["facts_sha256"]] for s in staged]
    csvs = [fetch.version(path) for path in (source.train_csv, source.clean_csv) if path]
    return hashlib.sha256(json.dumps([units, csvs], sort_keys=True).encode()).hexdigest()


def print_funnel(done: dict[str, Any]) -> None:
    """Images seen, dropped by reason and kept; classes before and after."""
    funnel = done["funnel"]
    kept = {k.split("/")[1]: n for k, n in funnel.items() if k.startswith("kept/")}
    dropped: collections.Counter[str] = collections.Counter()
    for key, number in funnel.items():
        if key.startswith("dropped/"):
            dropped[key.split("/")[2]] += number
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(dropped.items()))
    parts = ", ".join(f"{name} {kept[name]}" for name in schema.OUTPUT_SPLITS if name in kept)
    print(
        f"curate: {funnel['images']} images = {sum(kept.values())} kept ({parts}) "
        f"+ {dropped.total()} dropped" + (f" ({reasons})" if reasons else "")
    )
    print(f"curate: {done['classes']} of {done['classes_before']} landmarks kept")
    if done["classes_before"] and not done["classes"]:
        print("curate: nothing is left to train on; a lower --min_images_per_class keeps more")
    for what, number in sorted(done["unseen"].items()):
        if number:
            print(f"curate: {number} {what.replace('_', ' ')}")


def print_leaks(output: Output, done: dict[str, Any]) -> None:
    """Some of the train images that are in test, with the test image that each is."""
    left = min(LEAKS, done["funnel"].get(f"dropped/train/{Reason.IN_TEST}", 0))
    for path in _parts(output) if left else ():
        rows = tables.read(path, schema.DECISIONS)
        rows = rows[rows["reason"] == Reason.IN_TEST][:left]
        for train_id, test_id in zip(rows["id"], rows["duplicate_of"], strict=True):
            print(f"curate: train {train_id} is test {test_id}")
        left -= len(rows)
        if not left:
            return


GROUPS = (
    options.SourceOptions,
    options.SplitsOptions,
    options.OutputOptions,
    options.CurateOptions,
    options.SeedOptions,
)


def parameters(args) -> Parameters:
    return Parameters(args.min_images_per_class, args.validation_share, args.seed)


def main(argv: Sequence[str] | None = None) -> int:
    args, beam_options = options.parse(
        "curate",
        "Decide over facts, not pixels: join the landmarks, drop duplicates and rare landmarks, "
        "choose validation images and number the classes. Runs again in minutes.",
        EXAMPLES,
        GROUPS,
        argv,
    )
    source = discover_metadata(args.source)
    download.say_absent(source)
    curate(source, Output(args.output), args.split, parameters(args), beam_options)
    return 0
