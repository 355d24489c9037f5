"""A machine is lost in the middle: the job goes on, or says so and the same command goes on."""

from __future__ import annotations

import subprocess
import sys
import time

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.common.errors import EngineError
from pipelines.runner.engine import run
from tests.conftest import ROOT, gld2
from tests.engines import gcs
from tests.engines.conftest import Place, results, words
from tests.engines.engine import Engine

pytestmark = pytest.mark.slow

PATIENCE = 300  # seconds until a command notices
# What a command is reading when a machine is lost, from the source and from what is staged.
MOMENTS = {
    "prepare": ["/world/train/images_001.tar", "/out/staged/train-images_002.tfrecord"],
    "score": ["/world/test/images_000.tar"],
}


@pytest.mark.parametrize(
    "engine", [pytest.param("prism", marks=pytest.mark.long), "flink"], indirect=True
)
def test_the_bytes_are_those_of_a_run_that_nothing_disturbed(
    engine: Engine, bucket: Place, expected: dict[str, str]
):
    assert bucket.store
    for command, argv in words(bucket, *engine.flags).items():
        code = 1
        for read in MOMENTS[command]:
            if code:
                bucket.store.faults = gcs.Faults(slow=read)
                code = _disturbed(engine, bucket.store, [command, *argv])
        bucket.store.faults = gcs.Faults()
        if code:
            gld2(command, *argv)
    bucket.fetch()
    assert results(bucket.folder) == expected


@pytest.mark.parametrize("engine", ["prism", "flink"], indirect=True)
def test_a_mistake_in_a_step_is_not_the_engine_s(engine: Engine):
    def build(pipeline: beam.Pipeline) -> None:
        pipeline | beam.Create([0]) | beam.Map(lambda number: 1 // number)

    with pytest.raises(RuntimeError, match="ZeroDivisionError") as caught:
        run(build, PipelineOptions(list(engine.flags)))
    assert not isinstance(caught.value, EngineError)
    assert "Traceback" in str(caught.value)


def _disturbed(engine: Engine, store: gcs.Store, argv: list[str]) -> int:
    """Loses a machine while a command reads the slow object; returns the command's exit code."""
    module = [sys.executable, "-m", "pipelines.main"]
    lost = subprocess.Popen([*module, *argv], cwd=ROOT, text=True, stderr=subprocess.PIPE)
    while not store.faults.counts["slow"]:
        assert lost.poll() is None, "it ended before it read that object"
        time.sleep(0.01)
    engine.lose()
    _, printed = lost.communicate(timeout=PATIENCE)
    if lost.returncode:
        assert lost.returncode == 1
        assert "Traceback" not in printed
        assert "failed in state FAILED" in printed
        assert printed.endswith("; the same command goes on from here\n")
    return lost.returncode
