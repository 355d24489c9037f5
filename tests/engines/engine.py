"""An engine for tests: how a command is told to use it, and which of its processes can be lost."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence

import psutil

from tests.engines import services


class Pool:
    """Beam's worker pool: a process that starts Python workers where an engine asks for them."""

    def __init__(self, log: pathlib.Path, env: Mapping[str, str]):
        """
        Args:
          log: where it and its workers print.
          env: of it and its workers, beside this process's own.
        """
        self.port = services.free_port()
        self._log = log
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"  # it starts "python"
        self._env = {**env, "PATH": path}
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        module = "apache_beam.runners.worker.worker_pool_main"
        words = [sys.executable, "-m", module, f"--service_port={self.port}"]
        running = services.running(words, self._log, self.port, self._env)
        self._process = psutil.Process(self._stack.enter_context(running).pid)

    def kill(self) -> None:
        """With all its workers, as a machine is lost."""
        self._stack.close()

    def workers(self) -> list[psutil.Process]:
        """Those that run."""
        return [p for p in self._process.children() if p.status() != psutil.STATUS_ZOMBIE]


@dataclasses.dataclass(frozen=True)
class Engine:
    """An engine that runs.

    Attributes:
      flags: Beam's, that have a pipeline run on it.
      pool: where its workers are, or None where the command itself starts them.
    """

    flags: Sequence[str] = ()
    pool: Pool | None = None

    def lose(self) -> None:
        """Kills what works: workers, or of a cluster a process that has some of them."""
        assert self.pool
        for worker in self.pool.workers():
            worker.kill()


@contextlib.contextmanager
def pool(log: pathlib.Path, env: Mapping[str, str]) -> Iterator[Pool]:
    """A worker pool until the block ends."""
    found = Pool(log, env)
    found.start()
    try:
        yield found
    finally:
        found.kill()


def external(found: Pool) -> list[str]:
    """Flags that have an engine ask a pool for workers."""
    return ["--environment_type=EXTERNAL", f"--environment_config=localhost:{found.port}"]
