"""Writes the metadata of the flex templates: each flag as a field of a form, checked before launch.

python docker/templates.py    # after a change of flags
"""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from pipelines.main import COMMANDS

TEMPLATES = ("download", "curate", "shard", "score")
IMAGE = "sdk_container_image"
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
    "archives": rf"^{NUMBER}(,{NUMBER})*$",
    "split": rf"^{NAME}(,{NAME})*$",
    "near_duplicate_radius": r"^(none|[0-7])$",
    "against": r"^(none|test|index|test,index|index,test)$",
    "validation": r"^(one_per_class|none|0?\.[0-9]+|0)$",
    "version": r"^[0-9]+\.[0-9]+\.[0-9]+$",
    IMAGE: r"^[a-z0-9.-]+(/[a-z0-9._-]+)+(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})$",
}
TYPES: dict[Any, str] = {int: r"^[0-9]+$", float: r"^[0-9]+(\.[0-9]+)?$"}
TEXT = r"^.*$"


def metadata(command: str) -> dict[str, Any]:
    """A template's, as the service reads it."""
    return {
        "name": f"gld2 {command}",
        "description": f"Google Landmarks Dataset v2: {COMMANDS[command][2]}.",
        "parameters": [_parameter(flag) for flag in flags(command)],
    }


def flags(command: str) -> Iterator[argparse.Action]:
    """Those of the command's own, from its options classes, and one of Beam's."""
    parser = argparse.ArgumentParser(add_help=False)
    for group in importlib.import_module(COMMANDS[command][0]).GROUPS:
        group.add_arguments(parser)
    # In Beam's own image, workers would not find this package.
    parser.add_argument(
        f"--{IMAGE}", required=True, help="of docker/pipelines.Dockerfile: what the workers run"
    )
    yield from parser._actions


def _parameter(flag: argparse.Action) -> dict[str, Any]:
    return {
        "name": flag.dest,
        "label": flag.dest.replace("_", " ").capitalize(),
        "helpText": (flag.help or "") % vars(flag),
        "isOptional": not flag.required,
        "regexes": [_pattern(flag)],
    }


def _pattern(flag: argparse.Action) -> str:
    choices = ("true", "false") if flag.nargs == 0 else flag.choices
    if choices:
        return f"^({'|'.join(choices)})$"
    return PATTERNS.get(flag.dest) or TYPES.get(flag.type, TEXT)


def text(command: str) -> str:
    return json.dumps(metadata(command), indent=2) + "\n"


def path(command: str) -> pathlib.Path:
    return pathlib.Path(__file__).parent / f"{command}-metadata.json"


if __name__ == "__main__":
    for command in TEMPLATES:
        path(command).write_text(text(command), encoding="utf-8")
