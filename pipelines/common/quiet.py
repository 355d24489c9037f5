"""Silences logs of libraries that would hide a command's own output."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO, cast


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
    with _descriptor_2():
        yield


@contextlib.contextmanager
def workers() -> Iterator[None]:
    """Silences what workers on this machine write to stderr until the block ends.

    Beam's print the traceback of each error that is raised, too; their processes inherit file
    descriptor 2. After an error, threads that are still at work stay silent.
    """
    try:
        with _descriptor_2(), open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield
    except BaseException:
        sys.stderr = cast(TextIO, _OfOneThread(sys.stderr))
        raise


class _OfOneThread:
    """A text stream to which only the thread that makes it writes."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        mine = threading.get_ident() == self._thread
        return self._stream.write(text) if mine else len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _descriptor_2() -> Iterator[None]:
    """Has what is written to file descriptor 2 vanish until the block ends."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
