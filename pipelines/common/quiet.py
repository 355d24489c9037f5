"""Keeps libraries from burying the counts that a person looks for."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator


def beam() -> None:
    """Beam's warnings about what it does not need here, and its log of a worker's error, which
    comes a second time as an exception."""
    logging.getLogger().setLevel(logging.CRITICAL)


@contextlib.contextmanager
def tensorflow() -> Iterator[None]:
    """For the import of TensorFlow, which tells the processor's virtues past every log level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
