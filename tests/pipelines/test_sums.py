"""An image that a stage loses is told, and nothing is published without it."""

from __future__ import annotations

import json
import pathlib
import shutil

import pandas as pd
import pytest

from pipelines.curate import pipeline as curate
from pipelines.main import run
from pipelines.score import pipeline as score
from pipelines.score import scoring
from pipelines.shard import pipeline as shard
from pipelines.storage import parquet
from tests.pipelines.conftest import FLAGS

LOST = r"expected equal sums: files were changed"


@pytest.fixture
def output(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """Downloaded, and no more."""
    for name in ("staged", "facts", "rejects"):
        shutil.copytree(prepared / name, tmp_path / "out" / name)
    return tmp_path / "out"


def told(capsys: pytest.CaptureFixture, command: str, *flags: object) -> str:
    """What a command that must end with an error says last."""
    assert run(command, [*map(str, flags)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"gld2 {command}: error: ")
    assert LOST in line
    return line


def test_a_photo_that_download_neither_stages_nor_rejects(url, tmp_path, capsys, monkeypatch):
    def losing(rows, columns):
        return from_rows([rows[0] | {"status": None}, *rows[1:]], columns)

    from_rows = parquet.from_rows
    monkeypatch.setattr(parquet, "from_rows", losing)
    line = told(capsys, "download", f"--source={url}", f"--output={tmp_path}/out", *FLAGS[:1])
    assert "-images_" in line
    assert not list(tmp_path.rglob("*.done.json"))


def test_a_unit_whose_counts_do_not_add_up(url, output, capsys):
    path = next((output / "staged").glob("train-*.done.json"))
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"images": found["images"] + 1}))
    line = told(capsys, "download", f"--source={url}", f"--output={output}", *FLAGS[:1])
    assert "download train: " in line


def test_an_image_without_a_decision(url, output, capsys, monkeypatch):
    def losing(keyed, *rest):
        part, images = keyed
        return write((part, images.iloc[1:]), *rest)

    write = curate.write_part
    monkeypatch.setattr(curate, "write_part", losing)
    told(capsys, "curate", f"--source={url}", f"--output={output}")
    assert not (output / "decisions" / "done.json").exists()


def test_a_kept_image_without_a_shard(url, prepared, output, capsys, monkeypatch):
    def losing(images: pd.DataFrame, plan):
        return by_shard(images.iloc[1:], plan)

    by_shard = shard.by_shard
    monkeypatch.setattr(shard, "by_shard", losing)
    for name in ("decisions", "transform_fn"):
        shutil.copytree(prepared / name, output / name)
    told(capsys, "shard", f"--output={output}", *FLAGS[1:])
    assert not list((output / "dataset").rglob("stats.json"))


def test_a_photo_without_a_prediction(url, keras_export, tmp_path, capsys, monkeypatch):
    class Losing(score.Keep):
        def process(self, element):
            if element[0].number != 1:
                yield from super().process(element)

    monkeypatch.setattr(score, "CHUNK", 8)
    monkeypatch.setattr(score, "Keep", Losing)
    submission = tmp_path / "submission.csv"
    told(capsys, "score", f"--source={url}", f"--model={keras_export}", f"--output={submission}")
    assert not submission.exists()


def test_a_row_of_the_submission_that_is_not_counted(
    url, keras_export, tmp_path, capsys, monkeypatch
):
    ids = scoring.listed_ids
    monkeypatch.setattr(scoring, "listed_ids", lambda path: [*ids(path), ids(path)[0]])
    submission = tmp_path / "submission.csv"
    told(capsys, "score", f"--source={url}", f"--model={keras_export}", f"--output={submission}")
    assert not submission.exists()
