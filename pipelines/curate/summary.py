"""Prints the results of curation for a terminal."""

from __future__ import annotations

from pipelines.common import schema
from pipelines.common.paths import Output
from pipelines.common.reasons import Reason
from pipelines.common.records.curation import Curation
from pipelines.curate.near_duplicates.multi_index_hashing import WINDOW
from pipelines.storage import filesystem, parquet

LEAKS = 5  # leaked images that are printed; the decisions name all


def print_summary(output: Output, done: Curation) -> None:
    """Prints the funnel, what-if counts, faults of the metadata, and leaks.

    Args:
      output: where the decisions are.
      done: their done.json.
    """
    _print_images(done)
    _print_classes(done)
    for what, number in sorted(done.unseen.items()):
        if number:
            print(f"curate: {number} {what.replace('_', ' ')}")
    oversized = sum(counts.crowded for counts in done.pairs.values())
    if oversized:
        print(
            f"curate: {oversized} photos fell in oversized hash buckets; only their {WINDOW} "
            "nearest neighbours in sort order were compared"
        )
    _print_leaks(output, done)


def _print_images(done: Curation) -> None:
    kept, dropped = done.kept, done.dropped_by_reason
    parts = ", ".join(f"{name} {kept[name]}" for name in schema.OUTPUT_SPLITS if name in kept)
    print(
        f"curate: {done.images} images = {sum(kept.values())} kept ({parts}) "
        f"+ {dropped.total()} dropped"
    )
    for reason in Reason:  # in the order in which they apply
        if dropped[reason]:
            print(f"curate: {dropped[reason]:>12} {reason}")


def _print_classes(done: Curation) -> None:
    print(f"curate: {done.classes} of {done.classes_before} landmarks kept")
    if done.classes_before and not done.classes:
        print("curate: nothing is left to train on; a lower --min_images_per_class keeps more")
    if done.classes_before:
        chosen = done.parameters.min_images_per_class
        print("curate: what other values of --min_images_per_class would leave to train on:")
        for row in done.what_if:
            mark = " <- this one" if row.min_images_per_class == chosen else ""
            print(
                f"curate: {row.min_images_per_class:>12}: {row.images} images "
                f"of {row.classes} landmarks{mark}"
            )


def _print_leaks(output: Output, done: Curation) -> None:
    """Prints some train images that are in test or index, each with its duplicate there."""
    leaked = [Reason.IN_TEST, Reason.NEAR_TEST, Reason.IN_INDEX, Reason.NEAR_INDEX]
    dropped = done.dropped
    left = min(LEAKS, sum(dropped["train", reason] for reason in leaked))
    for path in filesystem.match(output.decision_files) if left else ():
        rows = parquet.read(path, schema.DECISIONS)
        rows = rows[rows["reason"].isin(leaked)][:left]
        for row in rows.itertuples(index=False):
            print(
                f"curate: train {row.id} is {str(row.reason).replace('_', ' ')} {row.duplicate_of}"
            )
        left -= len(rows)
        if not left:
            return
