"""Runs a module of this package in a child process, which ends when its parent does."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from typing import IO

from pipelines.common.errors import UserError

_KEPT = 20_000  # bytes that are kept of the child's stderr, from its end


def run(module: str, argv: list[str]) -> None:
    """Runs `python -m MODULE ARGV`; its output is printed as it comes.

    Where it fails, the end of its stderr is printed to stderr.

    Raises:
      UserError: it failed; with the last line of its stderr.
    """
    command = [sys.executable, "-m", "trainer.compare.subprocesses", module, *argv]
    with tempfile.TemporaryFile() as errors:
        # The child reads this pipe, which closes when this process ends, even when it is killed.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors)
        try:
            process.wait()
        finally:
            process.kill()
            process.communicate()
        if not process.returncode:
            return
        text = _tail(errors)
    print(text, file=sys.stderr, flush=True)
    raise UserError(_reason(process.returncode, text))


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _KEPT, 0))
    return file.read().decode(errors="replace").strip()


def _reason(code: int, text: str) -> str:
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    last = text.splitlines()[-1] if text else f"it ended with code {code}"
    return last.partition(": error: ")[2] or last


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the pipe closes
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
