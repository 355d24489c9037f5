"""Runs pipelines on any engine, counts inside them, and turns workers' errors into one line."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from pipelines.common import quiet
from pipelines.common.errors import EngineError, OnlyBuilt, UserError, in_one_line
from pipelines.runner.options import LOCAL_RUNNER

DISTRIBUTIONS = ("photo_milliseconds",)  # metrics that `measure` keeps as distributions
# Engines report a worker's error as text, after the worker's traceback.
USER_ERROR = re.compile(r"UserError: (.*?)(?: \[while running|\n|$)")
# An error of a disk in code that is not ours, as where Beam writes files of its own.
DISK_ERROR = re.compile(
    r"(?:Error: \[Errno |Error\()(?P<code>\d+)(?:\] |, ')(?P<what>[^\n]*?)(?:'\)[^\n]*)?"
    r" \[while running [^\n]*\s*\Z"
)
STOPPED = re.compile(r"KeyboardInterrupt\b")  # Ctrl-C within a step; Beam makes an error of it
FAILED = re.compile(r"Pipeline \S+ failed in state .*")


def run(build: Callable[[beam.Pipeline], object], options: PipelineOptions) -> Mapping[str, int]:
    """Builds a pipeline and runs it to its end; returns its counters by name.

    A distribution gives three counters: its name with /count, /sum and /max.

    Raises:
      OnlyBuilt: Beam's flags ask for a template or a dry run, so there are no counters.
      UserError: a step raised it, on any worker.
      EngineError: the pipeline ended in another state than DONE.
    """
    try:
        pipeline = beam.Pipeline(options=options)
    except ValueError as error:  # as where --runner names none
        raise UserError(in_one_line(error)) from None
    build(pipeline)
    local = options.view_as(StandardOptions).runner == LOCAL_RUNNER
    try:
        with quiet.workers() if local else contextlib.nullcontext():
            result = pipeline.run()
            _check_started(result)
            state = result.wait_until_finish()
    except Exception as error:
        if STOPPED.match(str(error)):
            raise KeyboardInterrupt from None
        raise _user_error(error) or _engine_error(error) or error from None
    if state != PipelineState.DONE:
        raise EngineError(f"the pipeline ended as {state}, expected {PipelineState.DONE}")
    return _counters(result.metrics().query(MetricsFilter()))


def _counters(found: Mapping[str, list[Any]]) -> dict[str, int]:
    ours = [m for m in found["counters"] if m.key.metric.namespace == "gld2"]
    counters = {m.key.metric.name: m.result or 0 for m in ours}
    for each in found["distributions"]:
        if each.key.metric.namespace == "gld2":
            for part in ("count", "sum", "max"):
                counters[f"{each.key.metric.name}/{part}"] = getattr(each.result, part)
    return counters


def _check_started(result: PipelineResult) -> None:
    # A dry run returns an instance of the base class; a written template has no job.
    if type(result) is PipelineResult or not getattr(result, "has_job", True):
        raise OnlyBuilt("the job was built but not run; the steps after it were skipped")


def count(name: str, amount: int = 1) -> None:
    """Adds to a counter of the namespace gld2, from inside a step."""
    _counter(name).inc(int(amount))


def measure(name: str, amount: float) -> None:
    """Adds to a distribution where `name` is one of DISTRIBUTIONS, else to a counter."""
    if name in DISTRIBUTIONS:
        _distribution(name).update(round(amount))
    else:
        count(name, int(amount))


# Cached, because creating a metric for each photo costs more than the count.
_counter = functools.cache(functools.partial(beam.metrics.Metrics.counter, "gld2"))
_distribution = functools.cache(functools.partial(beam.metrics.Metrics.distribution, "gld2"))


def _user_error(error: Exception) -> UserError | None:
    if isinstance(error, UserError):
        return UserError(str(error).split(" [while running")[0])
    found = USER_ERROR.findall(str(error)) or USER_ERROR.findall(repr(error).replace("\\n", "\n"))
    if found:
        return UserError(found[-1])
    disk = DISK_ERROR.search(str(error))
    if disk and disk["what"].startswith(os.strerror(int(disk["code"]))):
        return UserError(f"{disk['what']}; make sure that the disk can be read and written")
    return None


def _engine_error(error: Exception) -> EngineError | None:
    """Returns a failure of the engine, such as a lost worker; errors of steps have tracebacks."""
    found = FAILED.match(str(error))
    return EngineError(found[0]) if found and "Traceback" not in str(error) else None
