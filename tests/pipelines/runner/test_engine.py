"""What becomes of an error in a step."""

from __future__ import annotations

import errno
import os
import sys
import threading

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import BeamIOError

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


def test_a_thread_that_is_still_at_work_after_an_error_prints_nothing(capfd):
    with pytest.raises(UserError):
        run_with(UserError("x.csv row 3: expected a number"), THREADS)
    thread = threading.Thread(target=print, args=("theirs",), kwargs={"file": sys.stderr})
    thread.start()
    thread.join()
    print("ours", file=sys.stderr)
    assert capfd.readouterr().err == "ours\n"


EIO, FULL = (OSError(number, os.strerror(number)) for number in (errno.EIO, errno.ENOSPC))


@pytest.mark.parametrize("flags", [(), THREADS], ids=["one", "threads"])
@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.EIO, "Input/output error", "/out/x"), "Input/output error: '/out/x'"),
        (
            Exception(f"Encountered exceptions in finalize_write: [{OSError(EIO)!r}]"),
            "Input/output error",
        ),
        (BeamIOError("Rename failed", {("a", "b"): FULL}), "No space left on device"),
    ],
)
def test_a_disk_s_error_in_beam_s_own_code_is_one_line(error, what, flags):
    with pytest.raises(UserError, match=f"^{what}; make sure"):
        run_with(error, flags)


def test_another_error_is_none_of_a_disk():
    with pytest.raises(ValueError, match="apples"):
        run_with(ValueError("Error(5, 'apples')"), ())


def test_ctrl_c_within_a_step_stops_the_run():
    with pytest.raises(KeyboardInterrupt):
        run_with(KeyboardInterrupt(), ())
