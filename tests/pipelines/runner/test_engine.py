"""What becomes of an error in a step."""

from __future__ import annotations

import errno

import apache_beam as beam
import pytest

from pipelines.common.errors import UserError
from pipelines.runner import engine, options

THREADS = ("--direct_num_workers=2", "--direct_running_mode=multi_threading")


def run_with(error: BaseException, flags: tuple[str, ...]) -> None:
    """Runs a pipeline whose step raises an error."""

    def step(number: int) -> None:
        raise error

    engine.run(lambda p: p | beam.Create([0]) | beam.Map(step), options.beam_options("x", flags))


@pytest.mark.parametrize("flags", [(), THREADS], ids=["one", "threads"])
def test_a_user_s_error_is_one_line_and_nothing_else(flags, capfd):
    with pytest.raises(UserError, match=r"^x\.csv row 3: expected a number$"):
        run_with(UserError("x.csv row 3: expected a number"), flags)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("flags", [(), THREADS], ids=["one", "threads"])
def test_a_disk_s_error_in_beam_s_own_code_is_one_line(flags):
    with pytest.raises(UserError, match=r"^\[Errno 5\] Input/output error: '/out/x'; make sure"):
        run_with(OSError(errno.EIO, "Input/output error", "/out/x"), flags)


def test_ctrl_c_within_a_step_stops_the_run():
    with pytest.raises(KeyboardInterrupt):
        run_with(KeyboardInterrupt(), ())
