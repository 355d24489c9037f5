"""Prism, Beam's portable runner, as a service: the job server in one process, Python workers in
others, with nothing between them but Beam's job and worker protocols. Flink has the same."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping

import apache_beam as beam

from tests.conftest import ROOT
from tests.engines import engine, services
from tests.engines.engine import Engine

PACKAGE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
BUILD = ROOT / "build"
BINARY = BUILD / f"prism-{beam.__version__}"


def lacks() -> str | None:
    """Why there is no Prism to test on, or None where there is."""
    there = BINARY.exists() or shutil.which("go")
    return None if there else "needs Go, to build Beam's Prism"


def build() -> None:
    """Builds Prism of our Beam's version; the first time that takes minutes."""
    if not BINARY.exists():
        env = os.environ | {"GOBIN": str(BUILD), "CGO_ENABLED": "0"}
        subprocess.run(["go", "install", f"{PACKAGE}@v{beam.__version__}"], check=True, env=env)
        (BUILD / "prism").rename(BINARY)


@contextlib.contextmanager
def cluster(folder: pathlib.Path, env: Mapping[str, str]) -> Iterator[Engine]:
    """Prism and a pool of workers until the block ends.

    Args:
      folder: for logs.
      env: of the workers, beside this process's own.
    """
    build()
    port = services.free_port()
    words = [BINARY, f"-job_port={port}", "-serve_http=false"]
    with (
        services.running(words, folder / "prism.log", port),
        engine.pool(folder / "pool.log", env) as pool,
    ):
        flags = ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}"]
        yield Engine([*flags, *engine.external(pool)], [pool])
