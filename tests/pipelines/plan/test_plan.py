"""gld2 plan: its sums done again by hand, its counts against the source, and what it refuses."""

from __future__ import annotations

import json
import math
import pathlib
import tarfile

import pandas as pd
import pytest

from pipelines import main
from pipelines.common.errors import UserError
from pipelines.plan import calibrate, pricing, rates, stage_costs
from pipelines.plan.calibration import Calibration, save
from pipelines.plan.source_counts import count_source
from pipelines.plan.stage_costs import PUBLISHED, SplitCounts
from tests.conftest import SHARED, needs_shared

ROUND = Calibration(  # a million photos: 2.5 core-hours to stage, a quarter to shard
    source="x",
    photos=100,
    image_size=384,
    source_bytes=100_000,
    staged_bytes=20_000,
    facts_bytes=100,
    stage_ms=9.0,
    shard_ms=0.9,
)
MILLION = {"train": SplitCounts(1_000_000, 100, None)}
RATES = rates.read().rows | {
    name: (value, "", "")
    for name, value in {
        "vcpu_of_a_core": 0.5,
        "job_start_hours": 0.1,
        "connection_mb_s": 1000,
        "worker_vcpus": 4,
        "worker_gb": 16,
        "worker_disk_gb": 50,
        "request_ms": 36,
        "requests_at_once": 10,
        "months": 2,
    }.items()
}
KNOWN = rates.Rates(RATES)


@pytest.fixture(scope="module")
def stages() -> dict[str, stage_costs.Stage]:
    return {stage.name: stage for stage in stage_costs.stages(MILLION, ROUND, 3.858, KNOWN)}


@pytest.fixture
def calibration(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "calibration.json"
    save(ROUND, str(path))
    return path


# ---- sums -----------------------------------------------------------------------------------


def test_a_million_photos_by_hand(stages):
    download, shard = stages["download"], stages["shard"]
    assert download.core_hours == pytest.approx(2.5)
    assert (download.gb_in, download.gb_out) == pytest.approx((100, 20.1))
    assert download.shuffle_gb == 0
    assert shard.core_hours == pytest.approx(0.25)
    assert (shard.gb_in, shard.gb_out) == pytest.approx((20, 20))
    assert shard.units == 100  # of 200 MB
    assert shard.class_b == 1_000_000 + 100 * 100  # a read each, and each archive by each shard
    assert shard.unit_hours == pytest.approx(10_100 * 0.036 / 10 / 3600)


def test_photos_meet_once_for_each_byte_of_each_hash(stages):
    travels = 1_000_000 * 2 * 8 * 34 / 1e9  # four numbers of 64 bits and two of 8
    joined = 1_000_000 * (180 + 90 + 30 + 30 + 45) / 1e9
    assert stages["curate"].shuffle_gb == pytest.approx(travels + joined)
    assert stages["curate"].core_hours == pytest.approx(1_000_000 * 115e-6 / 3600)


def test_index_is_fetched_and_compared_and_not_sharded():
    both = MILLION | {"index": SplitCounts(500_000, 50, 7_000_000_000)}
    download, curate, shard, _ = stage_costs.stages(both, ROUND, 1, KNOWN)
    assert download.gb_in == pytest.approx(100 + 7)
    assert download.core_hours == pytest.approx(2.5 * 1.07)  # index's photos are the smaller ones
    assert download.units == 150
    assert shard.gb_out == pytest.approx(20)
    assert curate.gb_out == pytest.approx(
        1.5 * stage_costs.stages(MILLION, ROUND, 1, KNOWN)[1].gb_out
    )


def test_walls(stages):
    """2.5 core-hours are 5 vCPU-hours: 3 minutes for each of 100 archives."""
    download = stages["download"]
    assert stage_costs.vcpu_hours(download, KNOWN) == pytest.approx(5)
    for workers, waves in ((1, 25), (5, 5), (6, 5), (25, 1), (500, 1)):
        wall = stage_costs.wall_hours(download, workers, KNOWN)
        assert wall == pytest.approx(0.1 + waves * 0.05), workers


def test_a_slow_source_is_waited_for(stages):
    slow = rates.Rates(RATES | {"connection_mb_s": (1, "", "")})
    download, *_ = stage_costs.stages(MILLION, ROUND, 1, slow)
    assert stage_costs.wall_hours(download, 25, slow) == pytest.approx(0.1 + 1000 / 3600)


@pytest.mark.parametrize("deadline", [0.8, 1.0, 2.0, 6.0])
def test_workers_are_the_fewest(stages, deadline: float):
    prepared = list(stages.values())[:3]
    workers = stage_costs.workers_for(prepared, deadline, KNOWN)
    wall = lambda n: sum(stage_costs.wall_hours(s, n, KNOWN) for s in prepared)  # noqa: E731
    assert wall(workers) <= deadline
    assert workers == 1 or wall(workers - 1) > deadline


def test_no_number_of_workers_starts_jobs_faster(stages):
    assert stage_costs.workers_for(list(stages.values())[:3], 0.5, KNOWN) is None


def test_training_goes_by_multiply_adds():
    assert pricing.images_per_second("resnet50", None, KNOWN) == pytest.approx(4400)
    assert pricing.images_per_second("resnet50", 448, KNOWN) == pytest.approx(1100)
    assert pricing.images_per_second("vgg16", None, KNOWN) == pytest.approx(4400 * 3.858 / 15.347)


def test_the_bill(stages):
    found = list(stages.values())
    lines = {line.price: line for line in pricing.bill(found, 10, 3.0, KNOWN)}
    wall = sum(stage_costs.wall_hours(stage, 10, KNOWN) for stage in found)
    assert lines["dataflow_vcpu_hour"].quantity == pytest.approx(10 * 4 * wall)
    assert lines["dataflow_gb_hour"].quantity == pytest.approx(10 * 16 * wall)
    assert lines["dataflow_disk_gb_hour"].quantity == pytest.approx(10 * 50 * wall)
    stored = sum(stage.gb_out for stage in found)
    assert lines["storage_gb_month"].dollars == pytest.approx(stored * 2 * 0.02)
    assert lines["tpu_v3_8_hour"].dollars == pytest.approx(24)
    assert lines["class_b_1000"].dollars == pytest.approx(
        sum(stage.class_b for stage in found) / 1000 * 0.0004
    )


def test_every_price_is_on_the_bill_or_beside_it(stages):
    found = list(stages.values())
    lines = [*pricing.bill(found, 1, 1.0, KNOWN), *pricing.alternatives(found, 1, 1.0, KNOWN)]
    prices = {name for name, (_, unit, _) in rates.read().rows.items() if unit == "USD"}
    assert {line.price for line in lines} == prices


def test_networks_are_those_of_the_trainer(capsys: pytest.CaptureFixture[str]):
    from trainer import describe

    assert set(pricing.NETWORKS) == set(describe.BACKBONES) - {"efficientnet"}
    for name in ("mobilenet_v2", "resnet50"):
        assert main.main(["describe", name, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        side, gmacs = pricing.NETWORKS[name]
        assert side == found["image_size"]
        assert gmacs == pytest.approx(found["multiply_adds"] / 1e9, abs=0.0006)


# ---- counts ---------------------------------------------------------------------------------


def test_a_source_is_counted(world: pathlib.Path, url: str):
    for root in (str(world), url):
        found = count_source(root)
        for split in ("train", "test"):
            tars = sorted((world / split).glob("*.tar"))
            assert found[split].units == len(tars)
            assert found[split].bytes == sum(path.stat().st_size for path in tars)
            assert found[split].images == len(pd.read_csv(world / "metadata" / f"{split}.csv"))


@needs_shared
def test_published_counts_are_those_of_the_real_csv():
    assert PUBLISHED["test"].images == len(pd.read_csv(SHARED / "gld2-metadata" / "test.csv"))


def test_a_source_that_cannot_be_measured_is_said(tmp_path: pathlib.Path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "images_000.tar").write_bytes(b"no tar")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "train.csv").write_text("id,url,landmark_id\n0,,1\n")
    with pytest.raises(UserError, match="no photo could be read"):
        calibrate.measure(str(tmp_path), 100, 64)


def test_nothing_to_count_is_said(tmp_path: pathlib.Path):
    with pytest.raises(UserError, match="found no photos"):
        count_source(str(tmp_path))


# ---- calibration ----------------------------------------------------------------------------


def test_photos_are_measured(world: pathlib.Path, prepared: pathlib.Path):
    sizes = []
    for path in sorted((world / "train").glob("*.tar"))[:2]:
        with tarfile.open(path) as tar:
            sizes.append([member.size for member in tar if member.isfile()])
    first, second = sizes
    found = calibrate.measure(str(world), len(first) + 5, 64)
    assert found.photos == len(first) + 5
    assert found.source_bytes == round(sum(first + second[:5]) / found.photos)
    assert 0.05 < found.stage_ms < 500
    assert 0 < found.shard_ms < found.stage_ms
    staged = json.loads((prepared / "staged" / "train-images_000.done.json").read_text())
    size = (prepared / "staged" / "train-images_000.tfrecord").stat().st_size
    assert found.staged_bytes == pytest.approx(size / staged["staged"], rel=0.2)


def test_photos_are_drawn(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibrate, "SIDE", 96)
    found = calibrate.measure(None, 100, 64)
    assert found.photos >= 80
    assert "drawn" in found.source


# ---- the command ----------------------------------------------------------------------------


def test_the_same_calibration_gives_the_same_plan(calibration, tmp_path, capsys):
    for name in ("a.md", "b.md"):
        words = ["plan", f"--calibration={calibration}", f"--output={tmp_path / name}"]
        assert main.main(words) == 0
    text = (tmp_path / "a.md").read_text()
    assert text == (tmp_path / "b.md").read_text()
    assert text in capsys.readouterr().out
    for split in PUBLISHED.values():
        assert f"{split.images:,}" in text
    assert "within 6h" in text
    total = float(text.split("| **in all** |")[1].split("|")[2].replace(",", ""))
    assert 5 < total < 500 and math.isfinite(total)


def test_prices_may_be_edited(calibration, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("name,value\ntpu_v3_8_hour,0\nresnet50_v3_8_images_s,2200\n")
    words = [f"--calibration={calibration}", f"--prices={tmp_path / 'mine.csv'}"]
    assert main.main(["plan", *words]) == 0
    mine = capsys.readouterr().out
    (tmp_path / "mine.json").write_text('{"tpu_v3_8_hour": 0, "resnet50_v3_8_images_s": 2200}')
    assert main.main(["plan", words[0], f"--prices={tmp_path / 'mine.json'}"]) == 0
    assert capsys.readouterr().out == mine.replace("mine.csv", "mine.json")
    assert "2,200 images/s" in mine
    assert "`tpu_v3_8_hour` 0 | 0.00" in mine


def test_a_deadline_that_cannot_be_met_is_said(calibration, capsys):
    assert main.main(["plan", f"--calibration={calibration}", "--deadline=5m"]) == 0
    assert "**5m cannot be met**" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "name,value\ntpu,1\n", "found 'tpu'"),
        ("a.csv", "name,value\ntpu_v3_8_hour,-1\n", "row 2: expected a number"),
        ("a.csv", "price\n", "row 1: expected name,value"),
        ("a.json", '{"months": "nan"}', "months: expected a number"),
        ("a.json", "[1]", "an object"),
        ("a.json", "{", "expected JSON"),
    ],
)
def test_prices_that_make_no_sense_are_named(name, text, expected, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=expected):
        rates.read(str(tmp_path / name))


def test_a_calibration_of_other_flags_is_refused(calibration, capsys):
    assert main.main(["plan", f"--calibration={calibration}", "--staged_size=512"]) == 2
    assert "to 384 pixels" in capsys.readouterr().err
    calibration.write_text('{"photos": 3}')
    assert main.main(["plan", f"--calibration={calibration}"]) == 2
    assert "expected a calibration" in capsys.readouterr().err
