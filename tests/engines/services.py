"""Processes that tests start beside themselves: on free ports, with a log, gone at the end."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.conftest import ROOT

PATIENCE = 60.0  # seconds until a service answers


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def running(
    words: Sequence[object], log: pathlib.Path, port: int, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen]:
    """Runs a command until the block ends, from when it answers on a port.

    What it printed is shown where the block or the service fails. It is the head of a process
    group of its own, so that all that it starts goes with it.
    """
    with log.open("ab") as out:
        service = subprocess.Popen(
            [str(word) for word in words],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | (env or {}),
            start_new_session=True,
        )
    try:
        _wait(service, port)
        yield service
    except BaseException:
        print(f"---- {log.name}, its end\n{log.read_text(errors='replace')[-8000:]}")
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGKILL)
        service.wait()


class Service:
    """Such a process, that may be lost and come again."""

    def __init__(
        self,
        words: Sequence[object],
        log: pathlib.Path,
        port: int,
        env: Mapping[str, str] | None = None,
    ):
        self.port = port
        self._run = functools.partial(running, words, log, port, env)
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        self._stack.enter_context(self._run())

    def kill(self) -> None:
        """With all that it started, as a machine is lost."""
        self._stack.close()

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _wait(service: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise AssertionError(f"{service.args!r} ended with {service.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{service.args!r}: no answer on port {port}")
