"""Runs a pipeline, whatever its engine, and says in one line what a user can mend."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from pipelines.common.errors import EngineError, OnlyBuilt, UserError

DISTRIBUTIONS = ("photo_milliseconds",)
# An engine gives a worker's error as text, with the worker's traceback before it.
USER_ERROR = re.compile(r"UserError: (.*?)(?: \[while running|\n|$)")
FAILED = re.compile(r"Pipeline \S+ failed in state .*")


def run(build: Callable[[beam.Pipeline], object], options: PipelineOptions) -> Mapping[str, int]:
    """Builds and runs a pipeline to its end; returns its counters by name.

    A distribution is three of them: its name with /count, /sum and /max.

    Raises:
      OnlyBuilt: Beam's flags ask for a template or a dry run; the counters are nobody's.
      UserError: raised in a step, on whichever worker.
      EngineError: the pipeline ended in another state than DONE.
    """
    pipeline = beam.Pipeline(options=options)
    build(pipeline)
    try:
        result = pipeline.run()
        _check_started(result)
        state = result.wait_until_finish()
    except Exception as error:
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
    # A dry run's is the bare class; where a template was written, there is no job.
    if type(result) is PipelineResult or not getattr(result, "has_job", True):
        raise OnlyBuilt("the job was built and not run; what comes after it waits for its end")


def count(name: str, amount: int = 1) -> None:
    """Adds to one of our counters, from inside a step."""
    _counter(name).inc(int(amount))


def measure(name: str, amount: float) -> None:
    """Adds to a counter, or, where the name is that of a measure, to its distribution."""
    if name in DISTRIBUTIONS:
        _distribution(name).update(round(amount))
    else:
        count(name, int(amount))


# Kept: making one anew for each photo costs more than counting it.
_counter = functools.cache(functools.partial(beam.metrics.Metrics.counter, "gld2"))
_distribution = functools.cache(functools.partial(beam.metrics.Metrics.distribution, "gld2"))


def _user_error(error: Exception) -> UserError | None:
    found = USER_ERROR.findall(str(error)) or USER_ERROR.findall(repr(error).replace("\\n", "\n"))
    if isinstance(error, UserError):
        return UserError(str(error).split(" [while running")[0])
    return UserError(found[-1]) if found else None


def _engine_error(error: Exception) -> EngineError | None:
    """What an engine lost by itself, say a worker; a step's own error has its traceback with it."""
    found = FAILED.match(str(error))
    return EngineError(found[0]) if found and "Traceback" not in str(error) else None
