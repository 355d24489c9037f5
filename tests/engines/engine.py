"""An engine for tests: how a command is told to use it, and which of its processes can be lost."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

from tests.engines.services import Service, free_port


@dataclasses.dataclass(frozen=True)
class Engine:
    """An engine that runs.

    Attributes:
      flags: Beam's, that have a pipeline run on it.
      machines: processes of which each has work to do, as machines of a cluster have; none where
        the command itself starts its workers.
    """

    flags: Sequence[str] = ()
    machines: Sequence[Service] = ()

    def lose(self) -> None:
        """Kills a machine with all that it does; an empty one comes in its place."""
        self.machines[0].kill()
        self.machines[0].start()


def pool(log: pathlib.Path, env: Mapping[str, str]) -> Service:
    """Beam's worker pool: it starts a Python worker where an engine asks for one.

    Args:
      log: where it and its workers print.
      env: of it and its workers, beside this process's own.
    """
    port = free_port()
    module = "apache_beam.runners.worker.worker_pool_main"
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"  # it starts "python"
    words = [sys.executable, "-m", module, f"--service_port={port}"]
    return Service(words, log, port, {**env, "PATH": path})


def external(found: Service) -> list[str]:
    """Flags that have an engine ask a pool for workers."""
    return ["--environment_type=EXTERNAL", f"--environment_config=localhost:{found.port}"]
