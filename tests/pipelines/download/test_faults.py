"""gld2 download from a server that misbehaves: the same bytes as from one that does not."""

from __future__ import annotations

import pathlib
from http import HTTPStatus

import pytest

from pipelines.common.errors import UserError
from pipelines.download.command import main
from pipelines.sample import http_server
from pipelines.storage import streams
from tests.conftest import digests
from tests.pipelines.conftest import read_rejects
from tests.pipelines.download import faults
from tests.pipelines.download.faults import Fault

OUTPUT = ("facts/*", "staged/*.tfrecord", "rejects/*")
FLAGS = ["--image_size=64"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "backoff", lambda state: 0.0)
    monkeypatch.setattr(streams, "TIMEOUT", (5.0, 0.3))


@pytest.fixture(scope="module")
def undisturbed(url: str, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    main([f"--source={url}", f"--output={output}", *FLAGS])
    return output


@pytest.mark.parametrize("seed", [1, 2])
def test_the_bytes_do_not_depend_on_faults(world, undisturbed, tmp_path, seed: int):
    # Of each tar the schedule spoils four fetches; all other faults must cost none.
    schedule = faults.Schedule(seed)
    with faults.serve(world, schedule) as url:
        main([f"--source={url}", f"--output={tmp_path}", *FLAGS, "--attempts=5"])
    assert schedule.counts.total() >= 200
    assert min(schedule.counts[kind] for kind in Fault) >= 2
    assert schedule.spent()
    assert digests(tmp_path, *OUTPUT) == digests(undisturbed, *OUTPUT)
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_stays_bad_is_said_and_the_next_run_mends_it(world, undisturbed, tmp_path, capsys):
    class Busy(http_server.Handler):
        busy = True

        def reply(self):
            if self.busy and self.path.endswith("train/images_001.tar") and "Range" in self.headers:
                return self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return super().reply()

        def send_body(self, file, start, stop):
            if self.busy and self.path.endswith("train/images_001.tar"):
                stop, self.close_connection = start + 20_000, True
            super().send_body(file, start, stop)

    with http_server.serve(world, handler=Busy) as url:
        argv = [f"--source={url}", f"--output={tmp_path}", *FLAGS, "--attempts=2"]
        with pytest.raises(UserError, match="units that are not staged: 1, train-images_001 first"):
            main(argv)
        (reject,) = read_rejects(tmp_path / "rejects/train-images_001.jsonl")
        assert reject == {
            "id": "", "unit": "train-images_001", "stage": "download", "reason": "unreachable",
            "detail": f"{url}train/images_001.tar: HTTP status 503, 8 times in a row",
        }  # fmt: skip
        assert not list(tmp_path.glob("*/train-images_001.[tp]*"))
        assert "1 units could not be staged" in capsys.readouterr().out
        Busy.busy = False
        main(argv)
    assert digests(tmp_path, *OUTPUT) == digests(undisturbed, *OUTPUT)
