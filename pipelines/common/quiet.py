"""Silences logs of libraries that would hide a command's own output."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator


def beam() -> None:
    """Silences Beam's log.

    It warns about optional packages, and reports a worker's error that is raised, too.
    """
    logging.getLogger().setLevel(logging.CRITICAL)


@contextlib.contextmanager
def tensorflow() -> Iterator[None]:
    """Silences the log of TensorFlow until the block ends, for its import.

    TensorFlow writes about CPU features to file descriptor 2, whatever the log level.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
