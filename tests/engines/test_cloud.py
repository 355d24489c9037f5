"""From a dataset in a bucket to a submission in it; test_identity has what comes before."""

from __future__ import annotations

import pathlib

import pandas as pd
import pytest

from tests.conftest import gld2
from tests.engines import gcs
from tests.engines.conftest import VERSION, Place

pytestmark = pytest.mark.slow

NETWORK = ("--backbone=mobilenet", "--alpha=0.25", "--weights=none", "--image_size=32")


def test_a_model_is_trained_exported_and_scores_in_a_busy_bucket(
    bucket: Place, prepared: pathlib.Path, tmp_path: pathlib.Path
):
    assert bucket.store
    name = bucket.root.removeprefix(f"{gcs.BUCKET}/")
    data = bucket.store.put(prepared / "out" / VERSION, f"{name}/{VERSION}")
    job, submission = f"{bucket.root}/job", f"{bucket.root}/submission.csv"
    solution = f"{bucket.source}/ground_truth/recognition_solution_v2.1.csv"
    metrics = f"{bucket.root}/metrics.json"
    bucket.store.faults = gcs.Faults(unavailable_every=15, cut_every=10, slow="gld2-train")
    gld2("train", *NETWORK, data=data, job_dir=job, epochs=1)
    gld2("score", source=bucket.source, model=f"{job}/export", output=submission)
    gld2("evaluate", submission=submission, solution=solution, output=metrics)
    assert min(bucket.store.faults.counts.values()) > 0

    bucket.fetch()
    again = tmp_path / "again.csv"
    gld2("score", source=bucket.source, model=bucket.folder / "job" / "export", output=again)
    assert again.read_bytes() == (bucket.folder / "submission.csv").read_bytes()
    assert pd.read_csv(again)["landmarks"].notna().sum() > 30
    assert (bucket.folder / "metrics.json").stat().st_size > 0
