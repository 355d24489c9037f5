"""Writes the README.md of a dataset: its content, how it was made, how to load it. No Beam."""

from __future__ import annotations

import json
from typing import Any

import jinja2

from pipelines.common import paths, schema
from pipelines.common.records import json_record
from pipelines.common.records.curation import Curation
from pipelines.common.records.stats import Stats
from pipelines.storage import filesystem


def write(folder: str, stats: Stats, done: Curation) -> None:
    """Writes the README.md of a dataset.

    Args:
      folder: of the shards, local or on gs://.
      stats: the content of stats.json.
      done: the content of the decisions' done.json.
    """
    filesystem.write(paths.join(folder, "README.md"), render(stats, done))


def render(stats: Stats, done: Curation) -> str:
    """Returns the text of README.md; the same input gives the same text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.shard"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,  # a renamed key is an error, not a blank on the page
    )
    environment.filters["thousands"] = "{:,}".format
    return environment.get_template("card.md").render(
        stats=stats,
        splits={n: stats.splits[n] for n in schema.OUTPUT_SPLITS if n in stats.splits},
        done=done,
        flags=json.dumps(_flags(stats, done), indent=2),
        dropped=sorted(done.dropped.items(), key=lambda row: (-row[1], row[0])),
        metadata_faults={k.replace("_", " "): n for k, n in sorted(done.unseen.items()) if n},
        schema=schema,
    )


def _flags(stats: Stats, done: Curation) -> dict[str, Any]:
    """Returns the flags of each stage."""
    shaped = {"version": stats.version, "seed": stats.seed, "with_attribution": stats.attribution}
    return {
        "download": json_record.plain(stats.photos),
        "curate": json_record.plain(done.parameters),
        "shard": shaped,
    }
