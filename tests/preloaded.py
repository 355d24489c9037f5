"""Commands in processes that are forked from one which has imported Beam and TensorFlow before.

Importing them takes seconds of every process; a fork of one that did it takes milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULES = (
    *("tensorflow", "tensorflow_transform", "pipelines.prepare", "pipelines.main"),
    *("pipelines.curate.pipeline", "pipelines.download.pipeline", "pipelines.shard.pipeline"),
    *("pipelines.score.scoring", "pipelines.runner.options", "pipelines.report.page"),
)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as `pipelines.common.quiet` does
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(list(MODULES))


class Command:
    """A gld2 command that runs in a session of its own, as a shell would start it.

    Args:
      argv: the words after `gld2`.
      folder: where its output goes, to the files stdout and stderr.
      env: its environment; this process's by default.
      first: called there before the command is.
    """

    def __init__(
        self,
        argv: Sequence[object],
        folder: pathlib.Path,
        env: Mapping[str, str] | None = None,
        first: Callable[[], object] | None = None,
    ):
        self._folder = folder
        for name in ("stdout", "stderr"):
            (folder / name).write_text("")  # it may be killed before it makes them
        words = list(map(str, argv))
        self._process = CONTEXT.Process(
            target=_run, args=(words, folder, dict(env or os.environ), first)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Also the number of its group."""
        assert self._process.pid
        return self._process.pid

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code, negative for the signal that ended it; None if it still runs."""
        self._process.join(timeout)
        return self._process.exitcode

    def kill(self) -> None:
        """Ends it and all that it has started, at once."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has no group of its own yet, or has ended
            self._process.kill()

    @property
    def stdout(self) -> str:
        return (self._folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text()


def _run(
    words: list[str],
    folder: pathlib.Path,
    env: dict[str, str],
    first: Callable[[], object] | None,
) -> None:
    os.setsid()
    os.chdir(ROOT)  # the server's is where it was started
    os.environ.clear()
    os.environ.update(env)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    from pipelines import main  # the parent's coverage and the like come before it

    if first:
        first()
    sys.exit(main.main(words))
