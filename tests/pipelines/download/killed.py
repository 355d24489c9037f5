"""gld2 score, killed where a person cannot aim."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.conftest import ROOT

KILLED = """
import os, signal, sys
from pipelines import main
from pipelines.storage import filesystem

fatal, rename, count = int(sys.argv[1]), filesystem.rename, 0

def counted(old, new):
    global count
    count += 1
    if count == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(old, new)

filesystem.rename = counted
sys.exit(main.main(["score", *sys.argv[2:]]))
"""


def kill(fatal: int, *words: str) -> None:
    """Runs gld2 score until it is about to give a file its name the so manieth time.

    The copy of the model that is loaded is such a file too.
    """
    command = [sys.executable, "-c", KILLED, str(fatal), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
