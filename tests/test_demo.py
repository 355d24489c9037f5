"""gld2 demo on a smaller world than a person's, with too little training to be good."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.conftest import digests, gld2

FLAGS = {"train_images": 200, "test_images": 40, "epochs": 2}


@pytest.mark.slow
def test_demo_goes_all_the_way_and_does_nothing_twice(tmp_path: pathlib.Path):
    first = gld2("demo", output=tmp_path, **FLAGS)
    for row in ("images seen", "images kept", "landmarks kept", "training time", "GAP", "report"):
        assert f"\n  {row}" in first.stdout
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics) == {"all", "public", "private"}
    page = tmp_path / "prepared" / "report" / "index.html"
    assert str(page) in first.stdout
    assert "curves.png" in page.read_text()

    before = digests(tmp_path)
    second = gld2("demo", output=tmp_path, **FLAGS)
    assert digests(tmp_path) == before
    table = first.stdout.rpartition("\n---")[0].rpartition("\n---")[2]
    assert table in second.stdout


def test_another_world_in_the_same_folder_is_refused(tmp_path: pathlib.Path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "world.json").write_text('"another"')
    done = gld2("demo", output=tmp_path, **FLAGS, check=False)
    assert done.returncode == 2
    assert "holds a world with other settings" in done.stderr
