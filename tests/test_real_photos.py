"""The whole way on real photos, by the commands that a user types."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator

import pandas as pd
import pytest

from pipelines.sample import http_server
from tests.conftest import MINI, WEIGHTS, gld2, needs_shared

WEIGHTS_035 = WEIGHTS / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
WEIGHTS_1 = WEIGHTS / "mobilenet_v2_1.0_224_notop_coral_int8.h5"
WEIGHTS_LITE = WEIGHTS / "efficientnet_lite0_224_notop.weights.h5"
SOLUTION = "ground_truth/recognition_solution_v2.1.csv"
IN_TRAIN, IN_TEST = "6103640803036436", "4de1582368d03b8c"  # the same bytes


@dataclasses.dataclass(frozen=True)
class World:
    """Where the photos are published, what was prepared of them, and what that printed."""

    url: str
    output: pathlib.Path
    printed: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    output = tmp_path_factory.mktemp("real") / "out"
    with http_server.serve(MINI) as url:
        yield World(url, output, gld2("prepare", source=url, output=output).stdout)


@needs_shared
@pytest.mark.slow
def test_from_published_tars_to_a_scored_submission(world: World, tmp_path: pathlib.Path):
    job, submission = tmp_path / "job", tmp_path / "submission.csv"
    metrics = tmp_path / "metrics.json"
    gld2(
        "train",
        data=world.output / "dataset",
        job_dir=job,
        backbone="mobilenet_v2",
        alpha=0.35,
        weights=WEIGHTS_035,
    )
    gld2("score", source=world.url, model=job / "export", output=submission)
    gld2("evaluate", submission=submission, solution=world.url + SOLUTION, output=metrics)

    assert "download train: 350 images in 4 units = 350 staged + 0 rejected" in world.printed
    assert f"train {IN_TRAIN} is in test {IN_TEST}" in world.printed
    listed = pd.read_csv(MINI / "metadata" / "test.csv")["id"].tolist()
    assert len(listed) == 91
    assert pd.read_csv(submission)["id"].tolist() == listed
    found = json.loads(metrics.read_text())["all"]
    assert found["queries"] == found["predicted"] == 91
    assert found["gap"] >= 0.93
    assert found["accuracy"] >= 0.95


@needs_shared
@pytest.mark.long
def test_table_1_in_five_minutes_for_each_network(world: World, tmp_path: pathlib.Path):
    pretrained = [
        f"mobilenet_v2:0.35={WEIGHTS_035}",
        f"mobilenet_v2={WEIGHTS_1}",
        f"efficientnet_lite0={WEIGHTS_LITE}",
    ]
    gld2(
        "compare",
        data=world.output / "dataset",
        job_dir=tmp_path / "table",
        minutes=5,
        backbones=",".join([*pretrained, "efficientnet_b0=none", "resnet50=none"]),
        solution=MINI / SOLUTION,
    )
    rows = pd.read_csv(tmp_path / "table" / "table1.csv")
    assert len(rows) == 5
    assert rows["problem"].isna().all()
    best = rows[rows["pretrained"] == "yes"]
    assert len(best) == 3
    assert best["gap"].min() >= 0.93
    assert best["accuracy"].min() >= 0.94
    assert rows.loc[rows["pretrained"] == "no", "gap"].max() < 0.9
