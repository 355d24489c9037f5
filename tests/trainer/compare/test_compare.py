import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf

from pipelines.common import solution
from pipelines.common.errors import UserError
from pipelines.evaluate import metrics as reference
from pipelines.kaggle import submission
from pipelines.main import run
from tests.conftest import ROOT
from tests.trainer.conftest import photo, photos, write_split, write_version
from trainer import config as configs
from trainer import task
from trainer.compare import chart, evaluation, kaggle_test, runs, subprocesses, table, throughput
from trainer.compare.rows import Row
from trainer.compare.time_budget import PhaseTiming, read, shortened, write
from trainer.data import dataset

pytestmark = pytest.mark.slow

TINY = ["--weights=none", "--image_size=32", "--batch_size=4", "--speed_batch=2"]


# ---- the whole of it ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """dataset/ with a test split, and solution.csv."""
    root = tmp_path_factory.mktemp("world")
    version = write_version(root / "dataset" / "gld2" / "1.0.0", photos(0, 22), photos(100, 7))
    write_split(version, "test", [photo(n, None if n % 4 == 3 else n % 4) for n in range(13)], 2)
    stats = json.loads((version / "stats.json").read_text())
    stats["splits"]["test"] = {"images": 13}
    (version / "stats.json").write_text(json.dumps(stats))
    # Of four in a row, the last shows no landmark, and the first shows two; one is not named.
    cells = {0: "1000 77", 1: "1001", 2: "1002", 3: ""}
    usages = ("Public", "Private", "Ignored")
    rows = [f"{n:016x},{cells[n % 4]},{usages[n % 3]}" for n in range(12)]
    rows.append(f"{999:016x},1001,Public")  # a query without a photo
    (root / "solution.csv").write_text("\n".join(["id,landmarks,Usage", *rows]) + "\n")
    return root


@pytest.fixture(scope="module")
def command(world) -> list[str]:
    return [
        *(f"--data={world}/dataset", f"--job_dir={world}/job", *TINY, "--epochs=20"),
        *("--scratch_rate=0.02", f"--solution={world}/solution.csv", "--speed_of=mobilenet:0.5"),
        *("--minutes=10", f"--backbones=mobilenet:0.25,mobilenet:0.25={world}/broken.h5"),
    ]


@pytest.fixture(scope="module")
def made(world, command) -> tuple[int, list[dict[str, str]]]:
    """The exit code, and the rows of table1.csv, of a comparison in which one run fails."""
    (world / "broken.h5").write_bytes(b"not weights")
    code = run("compare", command)
    return code, list(csv.DictReader((world / "job" / "table1.csv").open()))


def test_a_comparison_makes_a_table_in_which_what_failed_stands_too(made, world):
    code, (trained, failed, timed) = made
    assert code == 1
    assert trained["run"] == "mobilenet-0.25-none-epochs_20"
    assert (trained["epochs"], trained["split"]) == ("20", "test")
    assert failed["problem"].endswith("expected an HDF5 file of weights only (.h5 or .weights.h5)")
    assert failed["gap"] == failed["seconds"] == ""
    assert [row["problem"] for row in (trained, timed)] == ["", ""]
    assert trained["parameters"] == str(213_072 + (256 + 1) * 3)  # that learn: MobileNet, a head
    assert float(timed["inference_images_per_second"]) > 0
    assert timed["train_images_per_second"] == timed["batch_size"] == ""
    assert float(failed["train_images_per_second"]) > 0
    assert (world / "job" / "table1.png").read_bytes().startswith(b"\x89PNG")
    markdown = (world / "job" / "table1.md").read_text()
    assert "9 queries (7 with a landmark), 1 of them without a photo; 4 ignored" in markdown
    assert "1 photos that the solution does not name" in markdown


def test_its_quality_is_what_evaluate_finds_of_the_exported_model(made, world):
    row = made[1][0]
    job = world / "job" / row["run"]
    scorer = tf.saved_model.load(str(job / "export" / "saved_model"))
    records = [photo(n, None if n % 4 == 3 else n % 4) for n in range(12)]
    images = tf.constant([record.encoded for record in records])
    scores = scorer.signatures["serving_default"](image=images)["scores"].numpy()
    lines = [f"{r.id},{1000 + s.argmax()} {s.max()}" for r, s in zip(records, scores, strict=True)]
    answers = world / "submission.csv"
    answers.write_text("\n".join(["id,landmarks", *lines, f"{999:016x},"]) + "\n")

    truth = submission.read_solution(str(world / "solution.csv"))
    subsets = reference.subsets(reference.join(submission.read(str(answers)), truth))
    expected = reference.score(subsets["all"], reference.ranking(subsets["all"]))
    for name in ("gap", "accuracy", "precision", "recall"):
        assert float(row[name]) == pytest.approx(getattr(expected, name), abs=1e-5)
    for name in ("public", "private"):
        found = reference.ranking(subsets[name]).gap
        assert float(row[f"gap_{name}"]) == pytest.approx(found, abs=1e-5)
    assert 0.2 < expected.gap < 1  # a network that learned, and a query without a photo

    shown = [n for n in range(12) if n % 3 != 2 and n % 4 != 3]
    true = sum(scores[n, n % 4] for n in shown) / (len(shown) + 1)
    assert float(row["mean_true_probability"]) == pytest.approx(true, abs=1e-4)


def test_a_comparison_again_trains_nothing(made, command, world, capfd):
    code, (row, *_) = made
    done = world / "job" / row["run"] / "done.json"
    before = done.stat().st_mtime_ns
    assert run("compare", command) == code
    shown = capfd.readouterr().out
    assert "finished before; nothing to do" in shown
    assert "timing" not in shown.split("compare: mobilenet-0.25-broken")[0]
    assert done.stat().st_mtime_ns == before


# ---- runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet50", ("resnet50", "", "")),
        (" mobilenet_v2:0.35", ("mobilenet_v2", "0.35", "")),
        ("efficientnet_lite0=gs://b/a=b:c.h5", ("efficientnet_lite0", "", "gs://b/a=b:c.h5")),
        ("mobilenet:0.5=none", ("mobilenet", "0.5", "none")),
    ],
)
def test_grammar(text, expected):
    assert runs.parse_entry(text) == runs.Entry(*expected)


@pytest.mark.parametrize("text", ["", "=none", "mobilenet:", "mobilenet=", ":0.5=none"])
def test_grammar_refuses(text):
    with pytest.raises(UserError, match="expected NAME"):
        runs.parse_entry(text)


def _runs(backbones, batch_sizes="", epochs="", *passed):
    return runs.plan_runs(
        "job", backbones, batch_sizes, epochs, ["--data=a", "--job_dir=job", *passed]
    )


def test_each_network_and_setting_is_a_run_of_its_own():
    found = _runs("mobilenet:0.5=w/m.h5,resnet50", "16,32", "3/6", "--seed=5", "--head_epochs=2")
    assert [run.name for run in found[:5]] == [
        "mobilenet-0.5-m-batch_size_16-epochs_3",
        "mobilenet-0.5-m-batch_size_16-epochs_6",
        "mobilenet-0.5-m-batch_size_32-epochs_3",
        "mobilenet-0.5-m-batch_size_32-epochs_6",
        "resnet50-batch_size_16-epochs_3",
    ]
    assert len(found) == 8
    first = found[0].settings
    assert (first.alpha, first.weights, first.seed, first.head_epochs) == (0.5, "w/m.h5", 5, 2)
    assert (first.batch_size, first.epochs) == (16, (3,))
    assert first.job_dir == "job/mobilenet-0.5-m-batch_size_16-epochs_3"
    assert found[4].settings.weights == "imagenet"
    assert _runs("efficientnet:1.5=none")[0].settings.phi == 1.5


def test_a_command_line_gives_its_config_back(config):
    assert task.parse(task.flags(config)) == config


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--backbones=alexnet"], "--backbone alexnet: expected one of"),
        (["--backbones=resnet50:0.5"], "--alpha is for mobilenet and mobilenet_v2"),
        (
            ["--backbones=mobilenet,mobilenet"],
            "mobilenet-none: expected runs of different names, found 2",
        ),
        (["--backbones=mobilenet=/no.h5"], "mobilenet: weights /no.h5: no such file"),
        (["--backbone=mobilenet"], "--backbone: gld2 compare takes --backbones instead"),
        (["--epochs=3/x"], "--epochs: expected a whole number"),
        (["--batch_sizes=0"], "--batch_size: expected 1 to 65536, found 0"),
        (["--minutes=0"], "--minutes: expected more than 0, found 0"),
        (["--minutes=nan"], "--minutes: expected more than 0, found nan"),
        (["--speed=3"], "unrecognized arguments: --speed=3"),
        (["--solution=/no.csv"], "/no.csv: cannot be read"),
        (["--data=/nowhere"], "--data /nowhere: no such folder"),
        (
            ["--data={data},{data}", "--epochs=3,0/3,1"],
            "--epochs: expected settings that all end on the same one of --data",
        ),
    ],
)
def test_a_mistake_is_one_line_before_the_first_run(world, tmp_path, flags, message, capfd):
    job = tmp_path / "job"
    given = [f"--data={world}/dataset", f"--job_dir={job}", "--weights=none"]
    given += [flag.format(data=f"{world}/dataset") for flag in flags]
    assert run("compare", given) == 2
    (line,) = (one for one in capfd.readouterr().err.splitlines() if one.startswith("gld2"))
    assert line.startswith(f"gld2 compare: error: {message}")
    assert not job.exists()


def test_a_solution_needs_a_test_split(version_folder, world, tmp_path, capfd):
    given = [f"--data={version_folder}", f"--job_dir={tmp_path}", *TINY]
    assert run("compare", [*given, f"--solution={world}/solution.csv"]) == 2
    assert "no gld2-test.tfrecord-* shards" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("images", "bytes_", "message"),
    [
        (0, 0, "stats.json: no photos in test"),
        (13, 20_000, "expected 6 photos, found a record cut"),
    ],
)
def test_a_test_split_that_is_no_good_is_told_first(
    world, tmp_path, capfd, images, bytes_, message
):
    version = tmp_path / "dataset" / "gld2" / "1.0.0"
    shutil.copytree(world / "dataset" / "gld2" / "1.0.0", version)
    stats = json.loads((version / "stats.json").read_text())
    stats["splits"]["test"] = {"images": images, "bytes": bytes_, "shard_lengths": [7, 6]}
    (version / "stats.json").write_text(json.dumps(stats))
    shard = version / "gld2-test.tfrecord-00001-of-00002"
    shard.write_bytes(shard.read_bytes()[:-5])
    given = [f"--data={tmp_path}/dataset", f"--job_dir={tmp_path}/job", *TINY]
    assert run("compare", [*given, f"--solution={world}/solution.csv"]) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "job").exists()


def test_what_is_measured_is_the_dataset_that_the_runs_end_on(world, version_folder):
    data = f"{world}/dataset,{version_folder}"
    passed = [f"--data={data}", "--job_dir=j", *TINY[:3], "--epochs=3,0"]
    exam = evaluation.find_evaluation_set(runs.plan_runs("j", "mobilenet", "", "", passed), "")
    assert exam.version.folder.startswith(str(world))


def test_a_table_is_written_where_nothing_could_be_timed(world, tmp_path, capfd):
    (tmp_path / "broken.h5").write_bytes(b"not weights")
    backbones = f"--backbones=mobilenet:0.25={tmp_path}/broken.h5"
    given = [f"--data={world}/dataset", f"--job_dir={tmp_path}/job", *TINY, "--minutes=5"]
    assert run("compare", [*given, backbones]) == 1
    assert "expected an HDF5 file of weights" in (tmp_path / "job" / "table1.md").read_text()
    assert "failed: mobilenet-0.25-broken" in capfd.readouterr().err


# ---- processes ------------------------------------------------------------------------------


def test_what_a_process_of_its_own_says_of_its_end(capfd):
    wanted = r"required: --data, --job_dir; gld2 train --help lists the flags\Z"
    with pytest.raises(UserError, match=wanted):
        subprocesses.run("trainer.task", [])
    assert "gld2 train: error: the following" in capfd.readouterr().err
    with pytest.raises(UserError, match=r"No module named trainer\.nothing"):
        subprocesses.run("trainer.nothing", [])


def test_a_process_of_its_own_ends_when_the_one_that_asked_for_it_is_killed():
    code = (
        "from trainer.compare import subprocesses;"
        "subprocesses.run('http.server', ['0', '--bind', '127.0.0.1'])"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert b"Serving HTTP" in parent.stdout.readline()
    (served,) = psutil.Process(parent.pid).children()
    parent.kill()
    served.wait(timeout=20)
    parent.communicate()


# ---- the budget -----------------------------------------------------------------------------


def _pretrained(**changes) -> configs.Config:
    values = {"data": ("a", "b"), "head_epochs": 20, "epochs": (6, 2), **changes}
    return configs.Config(job_dir="job", **values)


THREE = [PhaseTiming(10, 1), PhaseTiming(20, 6), PhaseTiming(20, 6)]  # 50 s, and 68 for all epochs


@pytest.mark.parametrize(
    ("changes", "paces", "minutes", "head", "epochs"),
    [
        ({}, [PhaseTiming(10, 1)] * 3, 60, 20, (6, 2)),
        ({}, THREE, 84.1 / 54, 10, (3, 1)),  # 84.1 s: 50, and half of all epochs
        ({}, THREE, 64 / 54, 2, (1, 1)),  # 64 s: 50, and one of each
        ({"data": ("a",), "epochs": (0,)}, [PhaseTiming(0, 6)], 1, 9, (0,)),
        ({"weights": "none", "epochs": (0, 40)}, [PhaseTiming(0, 6)], 1, 0, (0, 9)),
    ],
    ids=["all fits", "half fits", "one epoch fits", "no second phase", "no first phase"],
)
def test_phases_lose_epochs_alike_until_they_fit(changes, paces, minutes, head, epochs):
    expected = _pretrained(**{**changes, "head_epochs": head, "epochs": epochs})
    assert shortened(_pretrained(**changes), paces, minutes) == expected


def test_a_budget_too_small_for_one_epoch_says_how_much_it_takes():
    with pytest.raises(UserError, match=r"--minutes 1: one epoch .* takes about 5\.3 minutes"):
        shortened(_pretrained(), [PhaseTiming(10, 100)] * 2 + [PhaseTiming(0, 100)], 1)


def test_what_was_timed_holds_for_that_run_alone(config, tmp_path):
    assert read(config) is None
    write(config, [PhaseTiming(1.5, 0.25)])
    assert read(config) == [PhaseTiming(1.5, 0.25)]
    assert read(task.parse([*task.flags(config), "--batch_size=5"])) is None


# ---- speed ----------------------------------------------------------------------------------


def test_runs_that_differ_in_what_does_not_matter_are_as_fast(config):
    other = task.parse([*task.flags(config), "--job_dir=x", "--batch_size=9", "--epochs=5"])
    assert throughput.speed_settings(other, 8) == throughput.speed_settings(config, 8)
    wider = task.parse([*task.flags(config), "--alpha=0.5"])
    assert throughput.speed_settings(wider, 8) != throughput.speed_settings(config, 8)


# ---- the solution ---------------------------------------------------------------------------


def test_a_solution_without_a_landmark_is_refused(tmp_path):
    (tmp_path / "solution.csv").write_text("id,landmarks,Usage\na,1,Ignored\nb,,Public\n")
    with pytest.raises(UserError, match="GAP is not defined"):
        kaggle_test.read(str(tmp_path / "solution.csv"))


def test_landmarks_that_the_network_does_not_know_have_no_probability(version_folder):
    labels = dataset.find(str(version_folder)).labels  # 1000, 1001, 1002
    pixels = keras.Input((3,))
    scorer = keras.Model(pixels, keras.layers.Activation("linear")(pixels))
    rows = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], np.float32)
    ids = tf.constant(["a", "b"])
    truth = solution.parse("id,landmarks,Usage\na,1001 1002 4,Public\nb,4,Public\n")
    found = kaggle_test.predict(scorer, [(tf.constant(rows), None, ids)], labels, truth)
    assert found.landmarks.tolist() == [1000, 1002]
    np.testing.assert_allclose(found.true, [0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(found.scores, [0.5, 0.7])


# ---- the table ------------------------------------------------------------------------------

ROWS = [
    Row("resnet50", "resnet50", "imagenet", 224, pretrained="yes", problem="killed, twice"),
    Row(
        *("mobilenet_v2-0.35-none", "mobilenet_v2:0.35", "none", 224),
        **{"pretrained": "no", "batch_size": 16, "head_epochs": 0, "epochs": "3,1"},
        **{"seconds": 90.0, "gap": 0.5, "inference_images_per_second": 60.0},
    ),
    Row("vgg16", "vgg16", "none", 224, inference_images_per_second=10.0),
]


def test_csv_has_all_columns_and_the_papers():
    failed, trained, timed = csv.DictReader(table.to_csv(ROWS).splitlines())
    assert failed["problem"] == "killed, twice"
    papers = [failed[f"paper_{name}"] for name in ("hours", "true_probability", "gap")]
    assert papers == ["2.4", "0.67", "0.47"]
    assert (trained["seconds"], trained["gap"], trained["paper_gap"]) == ("90", "0.5", "")
    assert timed["gap"] == timed["pretrained"] == ""


def test_markdown_shows_what_there_is():
    text = table.to_markdown(ROWS, ["a note"])
    header, rule, failed, trained, timed = text.splitlines()[:5]
    assert len({len(line) for line in (header, rule, failed, trained, timed)}) == 1
    assert "top-1" not in header
    assert "- (2.4 h)" in failed and "- (0.47)" in failed and failed.endswith("failed |")
    assert "1.5 min" in trained and "0.5000" in trained and "0+3,1" in trained
    assert "- a note\n- resnet50: killed, twice\n" in text
    assert "mobilenet_v2:0.35 is 6.0 times as fast as vgg16" in text


def test_plot_is_drawn_also_of_nothing_but_failures():
    for rows in (ROWS, ROWS[:1]):
        assert chart.plot(rows) == chart.plot(rows)
        assert chart.plot(rows).startswith(b"\x89PNG")
