"""Runs commands; turns their exceptions into one line and an exit code."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from typing import NoReturn

from pipelines.common.errors import DEBUG, OnlyBuilt, UserError, explain, in_one_line, install

LONGEST_LINE = 2000  # characters of an error


def run(program: str, module: str, extra: str, flags: Sequence[str]) -> int:
    """Runs a command and returns its exit code; an error becomes one line.

    Args:
      program: the words that start it in a shell, with which the line begins.
      module: the module whose `main` takes the flags and returns the exit code.
      extra: the extra of this distribution that installs what the module needs.
      flags: the command line after the command's name.

    Returns:
      the exit code: that of `main`, or of `errors.explain`.
    """
    try:
        return importlib.import_module(module).main(flags)
    except OnlyBuilt as built:
        print(f"{program}: {built}")
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            print(file=sys.stderr)  # the terminal shows ^C
        return _print_error(program, *explain(_missing(error, extra)))


def _print_error(program: str, line: str, code: int) -> int:
    # A message may quote a flag's value or a file, line breaks and all.
    with contextlib.suppress(BrokenPipeError):
        print(f"{program}: {in_one_line(line, LONGEST_LINE)}", file=sys.stderr)
    return code


def load(module: str, extra: str) -> types.ModuleType:
    """Imports a module that needs an extra of this distribution.

    Raises:
      UserError: a package is not installed; says what installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(error, extra) from None


def _missing(error: BaseException, extra: str) -> BaseException:
    """Returns, for an import that failed in a library, what installs it; else the exception."""
    name = (getattr(error, "name", None) or "").split(".")[0]
    if not isinstance(error, ImportError) or name in ("pipelines", "trainer"):
        return error
    what = f"{name} is not installed" if isinstance(error, ModuleNotFoundError) else str(error)
    return UserError(f"{what}; {install(extra)}")


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
