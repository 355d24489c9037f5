"""Runs commands; turns their exceptions into one line and an exit code."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import NoReturn

from pipelines.common.errors import EngineError, OnlyBuilt, TransientError, UserError, in_one_line

LONGEST_LINE = 2000  # characters of an error
AGAIN = "the same command goes on from here"


def run(program: str, module: str, extra: str, flags: Sequence[str]) -> int:
    """Runs a command and returns its exit code; an error becomes one line.

    Args:
      program: the words that start it in a shell, with which the line begins.
      module: the module whose `main` takes the flags and returns the exit code.
      extra: the extra of this distribution that installs what the module needs.
      flags: the command line after the command's name.

    Returns:
      the exit code: that of `main`, 2 after an error that the user can correct, 1 after an error
      that may pass, 130 after Ctrl-C.
    """
    try:
        return load(module, extra).main(flags)
    except TransientError as error:
        return _print_error(program, f"error: {error}", 1)
    except UserError as error:
        return _print_error(program, f"error: {error}", 2)
    except EngineError as error:
        return _print_error(program, f"error: {error}; {AGAIN}", 1)
    except OnlyBuilt as built:
        print(f"{program}: {built}")
        return 0
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _print_error(program, f"stopped; {AGAIN}", 130)


def _print_error(program: str, line: str, code: int) -> int:
    # A message may quote a flag's value or a file, line breaks and all.
    print(f"{program}: {in_one_line(line, LONGEST_LINE)}", file=sys.stderr)
    return code


def load(module: str, extra: str) -> types.ModuleType:
    """Imports a module that needs an extra of this distribution.

    Raises:
      UserError: a package is not installed; says what installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("pipelines", "trainer"):
            raise
        raise UserError(f"{error.name} is not installed; pip install 'gld2[{extra}]'") from None


def door(command: str, module: str, extra: str) -> NoReturn:
    """Runs a command as a process of its own: its flags are the process's, which it ends.

    Args:
      command: its name after `gld2`.
      module: as of `run`.
      extra: as of `run`.
    """
    leave_with(lambda: run(f"gld2 {command}", module, extra, sys.argv[1:]))


def leave_with(main: Callable[[], int]) -> NoReturn:
    """Calls `main` and ends the process with its code, whatever libraries do at exit.

    A process on a job server was once seen to abort at exit, after its work was done: "terminate
    called without an active exception", from a C++ thread.
    """
    code = 1  # where main raises an unexpected exception

    def leave() -> None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)

    atexit.register(leave)  # registered before any library's handler, so it runs after them
    try:
        code = main()
    except SystemExit as end:  # argparse's, after --help
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
        raise
    sys.exit(code)
