"""The README.md of a dataset: what it is made of, how, and how to load it."""

from __future__ import annotations

import json
from typing import Any

import jinja2

from pipelines import files, schema


def write(folder: str, stats: dict[str, Any], done: dict[str, Any]) -> None:
    """Writes README.md.

    Args:
      folder: of the shards, local or gs://.
      stats: as stats.json has them.
      done: decisions' done.json.
    """
    files.write(files.join(folder, "README.md"), render(stats, done))


def render(stats: dict[str, Any], done: dict[str, Any]) -> str:
    loader = jinja2.PackageLoader("pipelines", "templates")
    environment = jinja2.Environment(loader=loader, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("card.md").render(
        stats=stats,
        done=done,
        flags=json.dumps(done["parameters"], indent=2),
        dropped=_dropped(done["funnel"]),
        schema=schema,
    )


def _dropped(funnel: dict[str, int]) -> list[tuple[str, str, int]]:
    """Split, reason and images, the most first."""
    rows = []
    for key, images in funnel.items():
        if key.startswith("dropped/"):
            _, split, reason = key.split("/")
            rows.append((split, reason, images))
    return sorted(rows, key=lambda row: (-row[2], row))
