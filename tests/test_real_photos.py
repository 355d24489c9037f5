"""The whole way on real photos, by the commands that a user types."""

from __future__ import annotations

import json
import pathlib

import pandas as pd
import pytest

from pipelines import server
from tests.conftest import MINI, WEIGHTS, gld2, needs_shared

WEIGHTS_035 = WEIGHTS / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
IN_TRAIN, IN_TEST = "6103640803036436", "4de1582368d03b8c"  # the same bytes


@needs_shared
@pytest.mark.slow
def test_from_published_tars_to_a_scored_submission(tmp_path: pathlib.Path):
    output, job = tmp_path / "out", tmp_path / "job"
    submission, metrics = tmp_path / "submission.csv", tmp_path / "metrics.json"
    with server.serve(MINI) as url:
        prepared = gld2("prepare", source=url, output=output)
        gld2(
            "train",
            data=output / "dataset",
            job_dir=job,
            backbone="mobilenet_v2",
            alpha=0.35,
            weights=WEIGHTS_035,
        )
        gld2("score", source=url, model=job / "export", output=submission)
        solution = f"{url}ground_truth/recognition_solution_v2.1.csv"
        gld2("evaluate", submission=submission, solution=solution, output=metrics)

    assert "download train: 350 images in 4 units = 350 staged + 0 rejected" in prepared.stdout
    assert f"train {IN_TRAIN} is in test {IN_TEST}" in prepared.stdout
    listed = pd.read_csv(MINI / "metadata" / "test.csv")["id"].tolist()
    assert len(listed) == 91
    assert pd.read_csv(submission)["id"].tolist() == listed
    found = json.loads(metrics.read_text())["all"]
    assert found["queries"] == found["predicted"] == 91
    assert found["gap"] >= 0.93
    assert found["accuracy"] >= 0.95
