"""Writes the metadata of the flex templates: each flag as a field of a form, checked before launch.

python docker/templates.py    # after a change of flags
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from pipelines.common.options.flags import Flag, flag
from pipelines.common.options.flags import flags as flags_of
from pipelines.main import COMMANDS

TEMPLATES = ("download", "curate", "shard", "score")
IMAGE = "sdk_container_image"  # Beam's name of it
NAME = r"[a-z]+"
NUMBER = r"[0-9]{1,3}(-[0-9]{1,3})?"
STORED = r"^gs://[^/]+/.+$"  # workers share no disk
READABLE = r"^(gs|https?)://.+$"
PATTERNS = {  # of what is neither a number nor a choice
    "source": READABLE,
    "ids": READABLE,
    "output": STORED,
    "model": STORED,
    "images": STORED,
    "train": STORED,
    "non_landmarks": STORED,
    "top_k_output": r"^gs://[^/]+/.+\.(csv|parquet)$",
    "archives": rf"^{NUMBER}(,{NUMBER})*$",
    "split": rf"^{NAME}(,{NAME})*$",
    "near_duplicate_radius": r"^(none|[0-7])$",
    "exclude_leaks_from": r"^(none|test|index|test,index|index,test)$",
    "validation": r"^(one_per_class|none|0?\.[0-9]+|0)$",
    "version": r"^[0-9]+\.[0-9]+\.[0-9]+$",
    IMAGE: r"^[a-z0-9.-]+(/[a-z0-9._-]+)+(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})$",
}
TYPES: dict[Any, str] = {int: r"^[0-9]+$", float: r"^[0-9]+(\.[0-9]+)?$"}
TEXT = r"^.*$"


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """The flag of Beam's that a template has to ask for."""

    sdk_container_image: str = flag(about="of docker/pipelines.Dockerfile: what the workers run")


def metadata(command: str) -> dict[str, Any]:
    """A template's, as the service reads it."""
    return {
        "name": f"gld2 {command}",
        "description": f"Google Landmarks Dataset v2: {COMMANDS[command][2]}.",
        "parameters": [_parameter(found) for found in flags(command)],
    }


def flags(command: str) -> Iterator[Flag]:
    """Those of the command's own, from its options, and one of Beam's."""
    yield from {f.name: f for f in flags_of(_options(command))}.values()
    # In Beam's own image, workers would not find this package.
    yield from flags_of(ImageOptions)


def _options(command: str) -> type:
    return importlib.import_module(COMMANDS[command][0]).COMMAND.options


def _parameter(flag: Flag) -> dict[str, Any]:
    return {
        "name": flag.name,
        "label": flag.name.replace("_", " ").capitalize(),
        "helpText": flag.about,
        "isOptional": not flag.required,
        "regexes": [_pattern(flag)],
    }


def _pattern(flag: Flag) -> str:
    choices = ("true", "false") if flag.kind is bool else flag.choices
    if choices:
        return f"^({'|'.join(choices)})$"
    return PATTERNS.get(flag.name) or TYPES.get(flag.kind, TEXT)


def text(command: str) -> str:
    return json.dumps(metadata(command), indent=2) + "\n"


def path(command: str) -> pathlib.Path:
    return pathlib.Path(__file__).parent / f"{command}-metadata.json"


if __name__ == "__main__":
    for command in TEMPLATES:
        path(command).write_text(text(command), encoding="utf-8")
