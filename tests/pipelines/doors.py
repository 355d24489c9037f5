"""What commands answer by each of their two doors, asked one after another in one process.

    python -m tests.pipelines.doors < QUESTIONS.json

QUESTIONS.json is a list of [command, word...]. Prints a list that has, for each, the answer of
`gld2 COMMAND` and that of `python -m MODULE`: [exit code, stdout, stderr]. The process ends as the
last door that was asked would end it.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from collections.abc import Callable

from pipelines import main


def module(command: str) -> str:
    """The MODULE of a command: its package, where it has one of its own."""
    return main.COMMANDS[command][0].removesuffix(".command")


def answers(command: str, *words: str) -> list[tuple]:
    return [
        _answer(main.console, ["gld2", command, *words]),
        _answer(lambda: _run(module(command)), [module(command), *words]),
    ]


def _run(name: str) -> None:
    sys.modules.pop(name, None)  # a new process has not imported it yet
    runpy.run_module(name, run_name="__main__")


def _answer(door: Callable[[], None], argv: list[str]) -> tuple:
    out, err = io.StringIO(), io.StringIO()
    code: object = "the door did not end the process"
    sys.argv = argv
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            door()
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    print(json.dumps([answers(*question) for question in json.load(sys.stdin)]))
