"""A process that fuzzes one target: python -m tests.fuzz.engine images FINDS [libFuzzer's flags].

What breaks a promise is kept in the folder FINDS, one input for each place, and fuzzing goes on. A
crash of the interpreter, a hang or too much memory ends the process; libFuzzer keeps its input.
"""

from __future__ import annotations

import hashlib
import importlib
import pathlib
import sys
import traceback
from collections.abc import Callable
from types import ModuleType

import atheris

# What is instrumented: Pillow's parsers are Python; its decoders are C, and only followed so far
# as their results go.
INSTRUMENTED = ["PIL", "pipelines", "tarfile"]


def main(what: str, finds: pathlib.Path, flags: list[str]) -> None:
    """Fuzzes until libFuzzer ends the process."""
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = importlib.import_module(f"tests.fuzz.{what}")
        trial = keeper(target, finds)
    atheris.Setup([f"{what}-fuzz", *flags], trial, custom_mutator=mutator(target))
    atheris.Fuzz()


def keeper(target: ModuleType, finds: pathlib.Path) -> Callable[[bytes], None]:
    """What tries an input and keeps it where a promise is broken."""
    from tests.fuzz.promise import Overheard

    overheard = Overheard()
    for data in target.seeds():  # what is imported late is imported now
        target.outcome(data, overheard)

    def trial(data: bytes) -> None:
        try:
            target.outcome(data, overheard)
        except Exception as error:
            overheard.take()
            keep(finds, data, error)

    return trial


def keep(finds: pathlib.Path, data: bytes, error: Exception) -> None:
    """Writes an input and its traceback, unless there is one for the same place."""
    places = [
        f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    kind = "\n".join([type(error).__name__, *places])
    path = finds / f"{type(error).__name__}-{hashlib.sha256(kind.encode()).hexdigest()[:12]}"
    if not path.exists():
        path.with_name(f"{path.name}.txt").write_text("".join(traceback.format_exception(error)))
        path.write_bytes(data)


def mutator(target: ModuleType) -> Callable[[bytes, int, int], bytes]:
    """libFuzzer's own changes, most of them with checksums that fit."""

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        changed = bytes(atheris.Mutate(data, max_size))
        return target.mend(changed)[:max_size] if seed % 4 else changed

    return mutate


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:])
