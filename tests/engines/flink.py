"""Flink: a JobManager and two TaskManagers, each a process, and Beam's job server before them.

`python -m tests.engines.flink` fetches what they are run from.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import apache_beam as beam
import requests

from tests.conftest import ROOT
from tests.engines import engine, services
from tests.engines.engine import Engine
from tests.engines.services import Service

VERSION = "1.20"  # of Flink, as Beam names its job servers; flink.xml has the whole of it
ARTIFACT = f"beam-runners-flink-{VERSION}-job-server"
POM = pathlib.Path(__file__).with_suffix(".xml")
JARS = ROOT / "build" / "flink"
JOB_SERVER = ROOT / "build" / f"{ARTIFACT}-{beam.__version__}.jar"
OPENED = ("java.lang", "java.net", "java.io", "java.nio", "java.text", "java.util")
TASK_MANAGERS = 2
CONFIG = {
    "jobmanager.rpc.address": "127.0.0.1",
    "rest.bind-address": "127.0.0.1",
    "restart-strategy.type": "fixed-delay",  # a job goes on where a TaskManager is lost
    "restart-strategy.fixed-delay.attempts": 5,
    "restart-strategy.fixed-delay.delay": "1 s",
    "heartbeat.interval": 1000,  # milliseconds
    "heartbeat.timeout": 5000,
    "taskmanager.host": "127.0.0.1",
    "taskmanager.numberOfTaskSlots": 2,
    # Flink's scripts work these out of a process's size; who starts it himself says them.
    "taskmanager.cpu.cores": 2,
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "64m",
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.managed.size": "256m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}


def lacks() -> str | None:
    """Why there is no Flink to test on, or None where there is."""
    if absent := _absent():
        return f"needs {absent}"
    there = JOB_SERVER.exists() and JARS.exists()
    return None if there else "needs Beam's Flink job server, which `make test-flink` fetches"


def _absent() -> str:
    return " and ".join(tool for tool in ("java", "mvn") if not shutil.which(tool))


def fetch() -> None:
    """Has Maven copy Beam's job server, and the Flink that it talks to, into build/, once.

    Raises:
      SystemExit: they cannot be had here; says why in one line.
    """
    artifact = f"-Dartifact=org.apache.beam:{ARTIFACT}:{beam.__version__}"
    _maven("dependency:copy", artifact, f"-DoutputDirectory={JOB_SERVER.parent}")
    _maven("-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={JARS}")


def _maven(*words: object) -> None:
    command = ["mvn", "--quiet", "--batch-mode", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        said = done.stdout.partition("[ERROR] ")[2] or done.stdout
        sys.exit(f"no Flink to test on: {said.partition(chr(10))[0]}")


@contextlib.contextmanager
def cluster(folder: pathlib.Path, env: Mapping[str, str]) -> Iterator[Engine]:
    """Flink and a pool of workers until the block ends.

    Beam starts its job server itself, from the jar, for each command.
    """
    with session(folder) as (address, managers), engine.pool(folder / "pool.log", env) as pool:
        flags = [
            "--runner=FlinkRunner",
            f"--flink_version={VERSION}",
            f"--flink_master={address}",
            f"--flink_job_server_jar={JOB_SERVER}",
            f"--parallelism={TASK_MANAGERS}",
        ]
        yield Engine([*flags, *engine.external(pool)], managers)


@contextlib.contextmanager
def session(folder: pathlib.Path) -> Iterator[tuple[str, Sequence[Service]]]:
    """A JobManager and TaskManagers until the block ends; gives its address and them."""
    rest, rpc = services.free_port(), services.free_port()
    config = CONFIG | {"rest.port": rest, "jobmanager.rpc.port": rpc, "io.tmp.dirs": folder}
    (folder / "flink-conf.yaml").write_text("")
    job_manager = _java("StandaloneSessionClusterEntrypoint", "entrypoint", folder, config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(Service(job_manager, folder / "jobmanager.log", rest))
        managers = []
        for number in range(TASK_MANAGERS):
            data = services.free_port()
            own = config | {"taskmanager.data.port": data}
            words = _java("TaskManagerRunner", "taskexecutor", folder, own)
            log = folder / f"taskmanager-{number}.log"
            managers.append(stack.enter_context(Service(words, log, data)))
        _wait(f"http://127.0.0.1:{rest}/taskmanagers")
        yield f"127.0.0.1:{rest}", managers


def _java(
    main: str, package: str, folder: pathlib.Path, config: Mapping[str, object]
) -> list[object]:
    """A command that runs one of Flink's main classes."""
    opens = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
    flags = [word for name, value in config.items() for word in ("-D", f"{name}={value}")]
    main = f"org.apache.flink.runtime.{package}.{main}"
    return ["java", *opens, "-Xmx512m", "-cp", f"{JARS}/*", main, "--configDir", folder, *flags]


def _wait(url: str) -> None:
    """Until the JobManager knows all TaskManagers."""
    deadline = time.monotonic() + services.PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException, KeyError):
            if len(requests.get(url, timeout=5).json()["taskmanagers"]) == TASK_MANAGERS:
                return
        time.sleep(0.1)
    raise AssertionError(f"{url}: expected {TASK_MANAGERS} TaskManagers")


if __name__ == "__main__":
    if absent := _absent():
        sys.exit(f"no Flink to test on: needs {absent}")
    if lacks():
        fetch()
