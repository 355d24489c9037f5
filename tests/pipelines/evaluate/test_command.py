"""gld2 evaluate as it is run: figures, curves, mistakes, comparisons."""

from __future__ import annotations

import csv
import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines import main
from pipelines.common.gap import rank
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.evaluate import metrics, pr_curve, worst_errors
from pipelines.imaging import contact_sheet
from pipelines.imaging.normalize import normalize
from tests.conftest import ROOT
from tests.pipelines.common.test_gap import WORKED_ROWS, WORKED_TRUTH, tables
from tests.pipelines.conftest import kaggle_layout


@pytest.fixture
def worked(tmp_path: pathlib.Path) -> list[str]:
    """Flags for the worked example."""
    cells = {query: f"{predicted} {score}" for query, predicted, score in WORKED_ROWS}
    made = "".join(f"{query},{cells.get(query, '')}\n" for query in WORKED_TRUTH)
    (tmp_path / "submission.csv").write_text(f"id,landmarks\n{made}z,5 1\n")
    usages = {"a": "Private", "d": "Private"}
    truth = "".join(
        f"{query},{' '.join(map(str, sorted(classes)))},{usages.get(query, 'Public')}\n"
        for query, classes in WORKED_TRUTH.items()
    )
    (tmp_path / "solution.csv").write_text(f"id,landmarks,Usage\n{truth}z,,Ignored\n")
    return [f"--solution={tmp_path}/solution.csv", f"--submission={tmp_path}/submission.csv"]


def test_metrics_json(worked: list[str], tmp_path: pathlib.Path):
    output = tmp_path / "out" / "metrics.json"
    assert main.main(["evaluate", *worked, f"--output={output}"]) == 0
    found = json.loads(output.read_text())
    assert found["all"] == {
        "gap": pytest.approx(2 / 3),
        "accuracy": pytest.approx(2 / 3),
        "precision": 2 / 4,
        "recall": pytest.approx(2 / 3),
        "macro_precision": pytest.approx((0 + 1 / 2 + 1) / 3),
        "macro_recall": pytest.approx((1 + 1 + 1 + 0) / 4),
        "queries": 5,
        "labelled": 3,
        "predicted": 4,
    }
    assert found["public"]["gap"] == 1  # b, then c, which shows nothing
    assert found["private"]["gap"] == 1 / 2
    with Image.open(tmp_path / "out" / "pr_curve.png") as image:
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 50  # it is not blank
    assert not list(tmp_path.glob("out/mistakes*"))


def test_two_files_of_metrics_in_one_folder_have_curves_of_their_own(worked, tmp_path):
    for name in ("a.json", "b.json", "metrics.json"):
        assert main.main(["evaluate", *worked, f"--output={tmp_path}/out/{name}"]) == 0
    found = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert found == {"a.pr_curve.png", "b.pr_curve.png", "pr_curve.png"}


def test_the_same_input_gives_the_same_bytes(worked: list[str], tmp_path: pathlib.Path):
    for name in ("one", "two"):
        main.main(["evaluate", *worked, f"--output={tmp_path}/{name}/metrics.json"])
    for name in ("metrics.json", "pr_curve.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_it_does_without_beam(worked: list[str], tmp_path: pathlib.Path):
    words = ["evaluate", *worked, f"--output={tmp_path}/metrics.json"]
    code = f"import sys; from pipelines import main; main.main({words}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not done.stderr
    loaded = done.stdout.splitlines()[-1].split()
    assert "matplotlib.figure" in loaded
    assert not {"apache_beam", "tensorflow", "scipy"} & set(loaded)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "expected --submission, or several different submissions"),
        (["{tmp}/submission.csv", "{tmp}/submission.csv"], "several different submissions"),
        (["{tmp}/submission.csv", "{tmp}/solution.csv"], "row 1: expected the header"),
        (["{tmp}/submission.csv", "{tmp}/b.csv", "--images={tmp}"], "--images: expected one"),
        (["{tmp}/submission.csv", "--resamples=0"], "--resamples: expected at least 1"),
        (["{tmp}/submission.csv", "--seed=-1"], "--seed: expected at least 0"),
        (["{tmp}/few.csv"], "few.csv against {tmp}/solution.csv: expected the same ids in both"),
        (["{tmp}/few.csv"], "id b has no row in the submission (5 such ids)"),
        (["{tmp}/few.csv"], "id y is not in the solution (1 such ids)"),
        (["{tmp}/submission.csv", "--images={tmp}"], "--images {tmp}: found no"),
    ],
)
def test_mistakes_of_a_user(worked, flags, expected, tmp_path: pathlib.Path, capsys):
    (tmp_path / "few.csv").write_text("id,landmarks\na,5 1\ny,\n")
    words = [word.format(tmp=tmp_path) for word in flags]
    output = f"--output={tmp_path}/metrics.json"
    assert main.main(["evaluate", worked[0], output, *words]) == 2
    text = capsys.readouterr().err
    assert expected.format(tmp=tmp_path) in text
    assert len(text.splitlines()) == 1


def test_submissions_are_compared(worked: list[str], tmp_path: pathlib.Path, capsys):
    first, second, output = (tmp_path / name for name in ("submission.csv", "b.csv", "c.json"))
    second.write_text(first.read_text().replace("a,5", "a,6"))
    words = [worked[0], str(first), str(second), "--resamples=50", f"--output={output}"]
    assert main.main(["evaluate", *words]) == 0
    found = json.loads(output.read_text())
    assert list(found["submissions"]) == sorted(map(str, (first, second)))
    assert found["submissions"][str(first)]["all"]["gap"] == pytest.approx(2 / 3)
    (pair,) = found["pairs"]
    assert (pair["a"], pair["b"]) == (str(first), str(second))
    assert pair["gap"]["difference"] == pytest.approx(1 / 3)
    assert pair["gap"]["low"] >= 0 == pair["gap"]["worse"]
    text = capsys.readouterr().out
    assert f"{first} less {second}, all:" in text
    assert "GAP +0.3333, 95 % interval +0" in text
    assert f"of {found['resamples']} resamples" in text


# ---- curves ---------------------------------------------------------------------------------


def test_a_threshold_takes_all_of_a_score():
    scores = np.array([3.0, 3.0, 2.0, 1.0, 1.0, 1.0])
    assert pr_curve.thresholds(scores).tolist() == [1, 2, 5]
    assert pr_curve.thresholds(scores[:0]).tolist() == []


def test_a_curve_has_its_corners():
    ranked = rank(list("abcdefg"), [1] * 7, -np.arange(7), [0, 0, 1, 0, 0, 1, 0], 4)
    assert pr_curve.corners(ranked).tolist() == [1, 2, 4, 5, 6]


@pytest.mark.parametrize("scores", [[], [0.5], [1e308, -1e308], [0.0] * 5, [5e-324, 0.0, -1e9]])
def test_curves_of_any_scores(scores: list[float]):
    ranked = rank([str(n) for n in range(len(scores))], [1] * len(scores), scores,
                  [True] * len(scores), 7)  # fmt: skip
    png = pr_curve.draw({"all": ranked}, np.array(scores, float))
    assert Image.open(io.BytesIO(png)).size > (500, 300)


# ---- mistakes -------------------------------------------------------------------------------


def test_the_worst_come_first_and_both_kinds():
    truth = {"a": {5}, "b": {6}, "c": set(), "d": {7}, "e": set(), "f": {8}}
    made = [("a", 5, 0.99), ("b", 5, 0.2), ("c", 5, 0.9), ("d", 5, 0.8), ("e", 5, 0.1)]
    joined = metrics.join(*tables(made, truth))
    ranked = metrics.with_prediction(joined).iloc[metrics.ranking(joined).order]
    assert worst_errors.worst(ranked)["id"].tolist() == ["c", "d", "b", "e"]
    assert worst_errors.worst(ranked, 1)["id"].tolist() == ["c", "d"]


@pytest.fixture
def blunders(prepared: pathlib.Path, world: pathlib.Path, tmp_path: pathlib.Path) -> list[str]:
    """Flags for a submission that is always wrong."""
    solution = next(world.glob("ground_truth/*.csv"))
    with solution.open() as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    rows = "".join(f"{name},999999 {n}.5\n" for n, name in enumerate(ids))
    (tmp_path / "submission.csv").write_text(f"id,landmarks\n{rows}")
    return [f"--solution={solution}", f"--submission={tmp_path}/submission.csv"]


@pytest.mark.parametrize("place", ["", "dataset", "staged", "kaggle"])
def test_mistakes_are_shown_with_their_photos(
    place: str, blunders: list[str], prepared: pathlib.Path, world: pathlib.Path, tmp_path
):
    images = prepared / place
    if place == "kaggle":
        images = tmp_path / place
        kaggle_layout(world, images)
    output = tmp_path / "out" / "metrics.json"
    assert main.main(["evaluate", *blunders, f"--output={output}", f"--images={images}"]) == 0
    with Image.open(tmp_path / "out" / "mistakes.jpg") as picture:
        assert picture.width == contact_sheet.COLUMNS * contact_sheet.CELL
        frames = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for colour in (worst_errors.WRONG, worst_errors.NOTHING):
        wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        near = np.abs(frames - wanted).max(axis=1) < 40  # JPEG blurs colours
        assert near.sum() > 200


def test_photos_are_the_queries_own(prepared: pathlib.Path, world: pathlib.Path, tmp_path):
    listed = pd.read_csv(world / "metadata" / "test.csv")["id"].tolist()
    kaggle_layout(world, tmp_path)
    staged = worst_errors.photos(str(prepared), set(listed[:9]))
    assert staged == worst_errors.photos(str(prepared / "dataset"), set(listed[:9]))
    loose = worst_errors.photos(str(tmp_path), set(listed[:9]))
    assert set(staged) <= set(loose) <= set(listed[:9])
    for name in staged:
        small, large = (
            np.asarray(
                Image.open(io.BytesIO(normalize(of[name], NormalizationConfig(64)).jpeg))
            ).astype(int)
            for of in (staged, loose)
        )
        assert np.abs(small - large).mean() < 8  # upright, whatever the file's orientation


def test_a_photo_that_cannot_be_read_leaves_its_place_empty(tmp_path: pathlib.Path):
    made = [("a" * 16, 5, 0.9), ("b" * 16, 5, 0.8)]
    joined = metrics.join(*tables(made, {"a" * 16: {7, 8}, "b" * 16: set()}))
    (tmp_path / f"{'a' * 16}.jpg").write_bytes(b"\xff\xd8\xff no photo")
    (tmp_path / f"{'b' * 16}.jpg").write_bytes(b"")
    picture = worst_errors.picture(joined, str(tmp_path))
    assert Image.open(io.BytesIO(picture)).height == contact_sheet.HEIGHT


def test_no_mistakes_make_no_sheet(worked: list[str], tmp_path: pathlib.Path, capsys):
    (tmp_path / "submission.csv").write_text("id,landmarks\na,5 1\nb,7 1\nc,\nd,9 1\ne,\nz,\n")
    words = [*worked, f"--output={tmp_path}/metrics.json", f"--images={tmp_path}"]
    assert main.main(["evaluate", *words]) == 0
    assert "there is no mistake to show" in capsys.readouterr().out
