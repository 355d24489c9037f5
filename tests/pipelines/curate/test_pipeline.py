"""Curate over made-up facts: rules that hold whatever the facts, and bytes that never change."""

from __future__ import annotations

import itertools
import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from pipelines.common import schema
from pipelines.common.errors import UserError
from pipelines.common.options.curation import CurateOptions
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import Output
from pipelines.common.reasons import Reason
from pipelines.common.records.curation import Curation, PairCounts
from pipelines.curate.command import main
from pipelines.curate.near_duplicates import multi_index_hashing
from pipelines.curate.summary import print_summary
from pipelines.source.unit import RecordParameters, UnitSummary
from pipelines.storage import filesystem, parquet
from tests.conftest import digests
from tests.pipelines.conftest import read_tables

IMAGES = 600
RADIUS = 7
LEAST = 3
EXPLAINED = (Reason.REFERENCE, Reason.LABEL_CONFLICT, Reason.RARE_CLASS)


def flipped(rng: np.random.Generator, hashes: np.ndarray, most: int) -> np.ndarray:
    """The hashes with up to so many bits of each turned."""
    for _ in range(most):
        bits = np.uint64(1) << rng.integers(0, 64, len(hashes), dtype=np.uint64)
        hashes = hashes ^ np.where(rng.random(len(hashes)) < 0.7, bits, np.uint64(0))
    return hashes


def facts(seed: int) -> pd.DataFrame:
    """Photos in families that look more or less alike, some files twice, some blank or broken."""
    rng = np.random.default_rng(seed)
    family = rng.integers(0, IMAGES // 3, IMAGES)
    rows = pd.DataFrame(
        {"id": [f"{x:016x}" for x in (rng.permutation(IMAGES) << 54).astype(np.uint64)]}
    )
    rows["landmark_id"] = np.where(rng.random(IMAGES) < 0.8, family % 40, family % 39)
    rows["split"] = rng.choice(["train"] * 8 + ["test", "index"], IMAGES)
    for name, most in (("phash", 5), ("dhash", 5), ("fine_0", 8), ("fine_1", 8)):
        bases = rng.integers(0, 2**64, IMAGES // 3, dtype=np.uint64)
        rows[name] = flipped(rng, bases[family], most)
    rows["sha256"] = [f"{x:064x}" for x in rng.integers(0, IMAGES * 3, IMAGES)]
    rows["width"], rows["height"] = rng.choice([400, 410, 410, 800], IMAGES), 300
    rows["entropy"] = rng.choice([7.0] * 19 + [0.2], IMAGES)
    looks = ["landmark_id", "phash", "dhash", "fine_0", "fine_1", "width", "entropy"]
    rows[looks] = rows.groupby("sha256")[looks].transform("first")
    rows["status"] = rng.choice(["staged"] * 9 + ["rejected"], IMAGES)
    rows["reason"] = np.where(rows["status"] == "staged", None, "undecodable")
    rows["offset"], rows["length"], rows["bytes"] = np.arange(IMAGES) * 100, 100, 100
    return rows


def write_source(root: pathlib.Path, rows: pd.DataFrame, seed: int) -> None:
    rng = np.random.default_rng(seed)
    train = rows[rows["split"] == "train"].assign(url="")
    metadata = root / "metadata"
    metadata.mkdir(parents=True)
    train[["id", "url", "landmark_id"]].to_csv(metadata / "train.csv", index=False)
    clean = train[rng.random(len(train)) < 0.4].groupby("landmark_id")["id"].agg(" ".join)
    clean.rename("images").to_csv(metadata / "train_clean.csv")


def write_facts(output: Output, rows: pd.DataFrame, units: int) -> None:
    """Facts as download leaves them."""
    for split, images in rows.groupby("split"):
        for number, some in enumerate(np.array_split(np.arange(len(images)), units)):
            unit = f"{split}-images_{number:03d}"
            table = images.iloc[some].assign(unit=unit)
            digest = parquet.write(output.facts(unit), table, schema.FACTS)
            done = UnitSummary(
                unit=unit,
                split=str(split),
                source=unit,
                md5=None,
                images=len(table),
                staged=int((table["status"] == schema.STAGED).sum()),
                rejected=table["reason"].value_counts().to_dict(),
                bytes=int(table["bytes"].sum()),
                parameters=RecordParameters(NormalizationConfig()),
                facts_sha256=digest,
            )
            filesystem.write_record(output.done(unit), done)


def run(root: pathlib.Path, folder: pathlib.Path, rows: pd.DataFrame, *flags: str, units: int = 2):
    output = Output(str(folder))
    write_facts(output, rows, units)
    common = [f"--source={root}", f"--output={folder}", f"--min_images_per_class={LEAST}"]
    assert main([*common, "--exclude_leaks_from=test,index", *flags]) == 0
    return read_tables(folder / "decisions")


@pytest.fixture(scope="module", params=[0, 1])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("world")
    rows = facts(request.param)
    write_source(root, rows, request.param)
    return root, rows, run(root, root / "out", rows)


def near(a: pd.Series, b: pd.Series) -> bool:
    """The definition, on two rows of facts."""
    first = min((a[name] ^ b[name]).bit_count() for name in ("phash", "dhash"))
    fine = sum((a[name] ^ b[name]).bit_count() for name in ("fine_0", "fine_1"))
    shapes = [
        multi_index_hashing.shape(np.array([x["width"]]), np.array([x["height"]]))[0]
        for x in (a, b)
    ]
    seen = min(a["entropy"], b["entropy"]) >= 1
    alike = first <= RADIUS and fine <= 4 * RADIUS and abs(int(shapes[0]) - shapes[1]) <= 2
    return a["sha256"] == b["sha256"] or (seen and alike)


def test_every_image_has_one_decision_and_sums_hold(world):
    root, rows, found = world
    assert sorted(found["id"]) == sorted(rows["id"])
    assert (found["keep"] == found["reason"].isna()).all()
    done = json.loads((root / "out/decisions/done.json").read_text())
    kept = sum(n for key, n in done["funnel"].items() if key.startswith("kept/"))
    assert kept == found["keep"].sum()
    assert len(found) == done["funnel"]["images"]


def test_train_photos_without_their_landmarks_are_refused(world, tmp_path):
    root, _, _ = world
    with pytest.raises(UserError, match=r"found no metadata/train\.csv"):
        main([f"--source={tmp_path}", f"--output={root}/out"])


def test_what_is_odd_is_told(capsys):
    pairs = {"phash": PairCounts(9, 4, 2, crowded=3), "dhash": PairCounts(9, 1, 1, crowded=2)}
    unseen = {"repeated_rows": 6, "unmatched_rows": 0}
    done = Curation({"images": 1, "kept/test": 1}, unseen, 0, 0, [], CurateOptions(), "", [], pairs)
    print_summary(Output("out"), done)
    printed = capsys.readouterr().out
    assert "curate: 6 repeated rows\n" in printed
    assert "unmatched" not in printed
    assert "5 photos fell in oversized hash buckets" in printed


def test_no_two_kept_photos_are_near(world):
    _, rows, found = world
    by_id = rows.set_index("id").to_dict("index")
    kept = found[found["keep"]]
    train = kept.loc[kept["split"] != "test", "id"]
    others = kept.loc[kept["split"] == "test", "id"]
    index = rows.loc[(rows["split"] == "index") & (rows["status"] == "staged"), "id"]
    pairs = [*itertools.combinations(train, 2), *itertools.product(train, [*others, *index])]
    assert len(pairs) > 5000
    assert not [pair for pair in pairs if near(*map(by_id.get, pair))]


def test_what_goes_points_to_what_it_is_near_to(world):
    _, rows, found = world
    by_id = rows.set_index("id").to_dict("index")
    reasons = found.set_index("id")["reason"]
    gone = found[found["duplicate_of"].notna()]
    assert {Reason.DUPLICATE, Reason.NEAR_DUPLICATE, Reason.LABEL_CONFLICT, Reason.NEAR_TEST,
            Reason.NEAR_INDEX} <= set(gone["reason"])  # fmt: skip
    for row in gone.itertuples():
        assert near(by_id[row.id], by_id[row.duplicate_of])
        stays = reasons[row.duplicate_of]
        assert pd.isna(stays) or stays in EXPLAINED


def test_classes_have_enough_images_and_validation_leaves_some(world):
    root, _, found = world
    kept = found[found["keep"] & (found["split"] != "test")]
    assert kept.groupby("landmark_id").size().min() >= LEAST
    assert (kept[kept["split"] == "train"].groupby("landmark_id").size() > 0).all()
    labels = pd.read_csv(root / "out/decisions/labels.csv")
    assert set(kept["landmark_id"]) == set(labels["landmark_id"])
    assert (kept["split"] == "validation").any()


@pytest.mark.slow
def test_the_same_bytes_whatever_the_files(world, tmp_path, monkeypatch):
    root, rows, _ = world
    monkeypatch.setattr("pipelines.runner.partition.ROWS", 100)
    outs = [tmp_path / "one", tmp_path / "other"]
    run(root, outs[0], rows, units=2)
    run(root, outs[1], rows.sample(frac=1, random_state=1), units=5)
    one, other = (digests(out, "decisions/*.[pc]*", "pairs/*.parquet") for out in outs)
    assert one == other
    assert len(one) > 8


@pytest.mark.slow
def test_rerun_with_other_flags_searches_no_pairs_again(world, tmp_path, capsys):
    root, rows, _ = world
    run(root, tmp_path, rows)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "pairs").iterdir()}
    narrow = run(root, tmp_path, rows, "--near_duplicate_radius=2", "--on_conflict=keep_first")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pairs").iterdir()} == before
    wide = run(root, tmp_path, rows, "--on_conflict=keep_first")
    assert (narrow["reason"] == "near_duplicate").sum() < (wide["reason"] == "near_duplicate").sum()
    exact = run(root, tmp_path, rows, "--near_duplicate_radius=none", "--on_conflict=keep_first")
    assert "near_duplicate" not in set(exact["reason"])
    assert "<- this one" in capsys.readouterr().out
