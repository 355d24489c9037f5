"""The units that are staged already"""

from __future__ import annotations

from typing import Any

from pipelines.common.paths import Output
from pipelines.source.discover import Source
from pipelines.storage import filesystem


def summaries(output: Output) -> list[dict[str, Any]]:
    """The done.json of every staged unit, in the order of their names."""
    return [filesystem.read_json(path) for path in filesystem.match(output.done("*"))]


def print_absent(source: Source) -> None:
    for absent in source.absent:
        print(f"{source.root}: no {absent}; done without")
