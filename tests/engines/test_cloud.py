"""The whole way in a bucket that is busy: nothing is on this machine's disk."""

from __future__ import annotations

import pathlib

import pandas as pd

from tests.conftest import gld2
from tests.engines import gcs
from tests.engines.conftest import FLAGS, Place

NETWORK = ("--backbone=mobilenet_v2", "--alpha=0.35", "--weights=none", "--image_size=32")


def test_a_source_becomes_a_submission(bucket: Place, tmp_path: pathlib.Path):
    assert bucket.store
    out, job = f"{bucket.root}/out", f"{bucket.root}/job"
    submission = f"{bucket.root}/submission.csv"
    gld2("prepare", *FLAGS, source=bucket.source, output=out)
    gld2("train", *NETWORK, epochs=1, data=f"{out}/dataset", job_dir=job)
    gld2("score", source=bucket.source, model=f"{job}/export", output=submission)
    solution = f"{bucket.source}/ground_truth/recognition_solution_v2.1.csv"
    metrics = f"{bucket.root}/metrics.json"
    gld2("evaluate", submission=submission, solution=solution, output=metrics)
    assert min(bucket.store.faults.counts.values()) > 0
    bucket.store.faults = gcs.Faults()
    bucket.results()  # onto the disk
    again = tmp_path / "again.csv"
    gld2("score", source=bucket.source, model=bucket.folder / "job" / "export", output=again)
    assert again.read_bytes() == (bucket.folder / "submission.csv").read_bytes()
    assert pd.read_csv(again)["landmarks"].notna().sum() > 30
    assert (bucket.folder / "metrics.json").stat().st_size > 0
