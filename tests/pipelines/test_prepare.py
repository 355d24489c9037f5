"""gld2 prepare on the sample world: what goes in comes out, or has a reason."""

from __future__ import annotations

import io
import json
import pathlib
import shutil

import pandas as pd
import pytest
from PIL import Image

from pipelines import prepare
from pipelines.common import schema
from pipelines.common.errors import UserError
from pipelines.curate.command import main as curate_main
from pipelines.sample.world import Summary
from pipelines.shard.command import main as shard_main
from tests.conftest import digests
from tests.pipelines.conftest import (
    FLAGS,
    kaggle_layout,
    read_rejects,
    read_shards,
    read_tables,
    read_tars,
)

SHARDS = ("dataset/**/*.tfrecord-*", "dataset/**/*.csv", "dataset/**/*.json")
TABLES = ("facts/*", "staged/*.tfrecord", "decisions/*.parquet", "decisions/*.csv", "rejects/*")
VERSION = "dataset/gld2/1.0.0"


@pytest.fixture(scope="module")
def facts(prepared: pathlib.Path) -> pd.DataFrame:
    return read_tables(prepared / "facts")


@pytest.fixture(scope="module")
def decisions(prepared: pathlib.Path) -> pd.DataFrame:
    return read_tables(prepared / "decisions")


# ---- nothing vanishes -----------------------------------------------------------------------


def test_every_member_has_one_row_of_facts_and_one_decision(world, facts, decisions):
    ids = sorted([*read_tars(world, "train"), *read_tars(world, "test")])
    assert sorted(facts["id"]) == ids
    assert sorted(decisions["id"]) == ids


def test_rejects_say_what_facts_say(prepared: pathlib.Path, facts: pd.DataFrame):
    files = sorted((prepared / "rejects").glob("*.jsonl"))
    lines = [reject for path in files for reject in read_rejects(path)]
    rejected = facts[facts["status"] == "rejected"]
    assert {(r["id"], r["unit"], r["reason"]) for r in lines} == set(
        rejected[["id", "unit", "reason"]].itertuples(index=False, name=None)
    )
    assert all(line["detail"] and line["stage"] == "download" for line in lines)


def test_nothing_temporary_is_left(prepared: pathlib.Path):
    names = {path.name for path in prepared.iterdir()}
    assert names == {"staged", "facts", "rejects", "decisions", "transform_fn", "dataset", "pairs"}
    assert not list(prepared.rglob("*.tmp")) + list(prepared.rglob("*.incomplete"))


# ---- each fault of the world is found -------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("corrupt", "undecodable"), ("truncated", "undecodable"), ("empty", "empty"),
     ("not_image", "not_an_image")],
)  # fmt: skip
def test_broken_images_are_rejected(summary: Summary, decisions, fault: str, reason: str):
    rows = decisions.set_index("id").loc[list(summary.train_faults[fault])]
    assert set(rows["reason"]) == {reason}
    assert not rows["keep"].any()


@pytest.mark.parametrize("kind", ["palette", "cmyk", "rgba", "exif"])
def test_odd_images_are_kept(summary: Summary, decisions, kind: str):
    assert decisions.set_index("id").loc[list(summary.train_faults[kind]), "keep"].all()


def test_staged_photos_are_upright_bounded_rgb(prepared: pathlib.Path, summary: Summary, facts):
    by_id = facts.set_index("id")
    turned = set(summary.train_faults["exif"])
    for record in read_shards(prepared / VERSION, "train"):
        image = Image.open(io.BytesIO(record[schema.ENCODED]))
        assert image.mode == "RGB"
        assert max(image.size) <= 64
        assert image.size == (record[schema.WIDTH], record[schema.HEIGHT])
        row = by_id.loc[record[schema.IMAGE_ID].decode()]
        assert (row["width"] > row["height"]) == (image.width > image.height)
        turned.discard(record[schema.IMAGE_ID].decode())
    assert len(turned) < len(summary.train_faults["exif"])


def test_byte_duplicates_keep_one(summary: Summary, decisions):
    by_id = decisions.set_index("id")
    for pair in summary.byte_duplicates:
        rows = by_id.loc[list(pair)]
        assert rows["keep"].sum() == 1
        dropped = rows[~rows["keep"]].iloc[0]
        assert dropped["reason"] == "duplicate"
        assert dropped["duplicate_of"] == rows.index[rows["keep"]][0]


def test_label_conflicts_keep_what_the_clean_list_says(summary: Summary, decisions):
    by_id = decisions.set_index("id")
    (clean, unclean), neither = summary.conflicts
    assert by_id.loc[clean, "keep"]
    assert by_id.loc[unclean, ["reason", "duplicate_of"]].tolist() == ["label_conflict", clean]
    assert by_id.loc[list(neither), "reason"].tolist() == ["label_conflict"] * 2


def test_what_is_in_test_is_dropped_from_train(summary: Summary, decisions):
    by_id = decisions.set_index("id")
    for train_id, test_id, kind in summary.leaks:
        if kind == "copy":
            assert by_id.loc[train_id, ["reason", "duplicate_of"]].tolist() == ["in_test", test_id]
            assert by_id.loc[test_id, "keep"]


def test_near_duplicates_keep_one_and_nothing_else_is_joined(summary: Summary, decisions):
    by_id = decisions.set_index("id")
    planted = [{original, copy} for original, copy, _ in summary.near_duplicates]
    planted += [{train_id, test_id} for train_id, test_id, kind in summary.leaks if kind != "copy"]
    near = by_id[by_id["reason"].isin(["near_duplicate", "near_test"])]
    found = [{image_id, row["duplicate_of"]} for image_id, row in near.iterrows()]
    assert sorted(map(sorted, found)) == sorted(map(sorted, planted))
    assert len(found) > 4


def test_rare_landmarks_are_dropped(summary: Summary, decisions):
    rare = decisions[decisions["landmark_id"].isin(summary.rare_landmarks)]
    assert len(rare) == sum(summary.rare_landmarks.values())
    assert set(rare["reason"].dropna()) <= {"rare_class", "duplicate", "in_test"}
    assert not rare["keep"].any()


def test_labels_run_by_count_then_landmark(prepared: pathlib.Path, decisions: pd.DataFrame):
    labels = pd.read_csv(prepared / VERSION / "labels.csv")
    kept = decisions[decisions["keep"] & (decisions["split"] != "test")]
    counts = kept.groupby("landmark_id").size()
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert list(zip(labels["landmark_id"], labels["images"], strict=True)) == expected
    assert labels["label"].tolist() == list(range(len(expected)))


def test_transform_fn_gives_the_labels(prepared: pathlib.Path):
    import tensorflow as tf
    import tensorflow_transform as tft

    labels = pd.read_csv(prepared / VERSION / "labels.csv")
    transform = tft.TFTransformOutput(str(prepared / "transform_fn")).transform_features_layer()
    found = transform({"landmark_id": tf.constant(labels["landmark_id"])})["label"]
    assert found.numpy().tolist() == labels["label"].tolist()


def test_one_image_of_each_larger_landmark_is_for_validation(decisions: pd.DataFrame):
    kept = decisions[decisions["keep"] & (decisions["split"] != "test")]
    for _, rows in kept.groupby("landmark_id"):
        assert (rows["split"] == "validation").sum() == (len(rows) > 3)


# ---- the same bytes -------------------------------------------------------------------------


def test_a_folder_gives_the_same_bytes_as_a_server(world, prepared, tmp_path):
    """Two processes: tests/engines/test_identity.py."""
    output = tmp_path / "out"
    prepare.main([f"--source={world}", f"--output={output}", *FLAGS])
    assert digests(output, *SHARDS, *TABLES) == digests(prepared, *SHARDS, *TABLES)


def test_a_second_run_writes_nothing(url: str, prepared: pathlib.Path, tmp_path: pathlib.Path):
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    prepare.main([f"--source={url}", f"--output={output}", *FLAGS])
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


def test_what_killed_runs_left_half_written_is_removed(url, prepared, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    shutil.rmtree(output / "dataset")
    for name in ("staged/test-images_000", "pairs/dhash", "decisions/"):
        (output / f"{name}.done.json".replace("/.", "/")).unlink()
        for folder in ("staged", "facts", "rejects", "pairs", "decisions"):
            (output / folder / "half.0123abcd.tmp").touch()
    prepare.main([f"--source={url}", f"--output={output}", *FLAGS])
    assert not list(output.rglob("*.tmp"))
    assert digests(output, *SHARDS, *TABLES) == digests(prepared, *SHARDS, *TABLES)


def test_kaggle_layout_gives_the_same_dataset(world, prepared, tmp_path):
    root, output = tmp_path / "kaggle", tmp_path / "out"
    kaggle_layout(world, root)
    prepare.main([f"--source={root}", f"--output={output}", *FLAGS])
    # Kaggle has no clean list: conflicts are decided otherwise, the rest is the same.
    ours, theirs = (read_tables(out / "decisions").set_index("id") for out in (output, prepared))
    assert set(ours.index) == set(theirs.index)
    changed = ours["keep"] != theirs["keep"]
    assert set(theirs.loc[changed[changed].index, "landmark_id"].notna()) <= {True}
    assert changed.sum() <= 4
    photos = {r[schema.IMAGE_ID]: r[schema.ENCODED] for r in read_shards(output / VERSION, "test")}
    for record in read_shards(prepared / VERSION, "test"):
        assert photos[record[schema.IMAGE_ID]] == record[schema.ENCODED]


# ---- parts of a source, and other flags -----------------------------------------------------


def test_archives_and_limit_take_a_part(url: str, tmp_path: pathlib.Path, capsys):
    output = tmp_path / "out"
    prepare.main(
        [f"--source={url}", f"--output={output}", *FLAGS, "--archives=1", "--limit=30",
         "--min_images_per_class=1"]
    )  # fmt: skip
    facts = read_tables(output / "facts")
    assert set(facts["unit"]) == {"train-images_001", "test-images_001"}
    assert (facts[facts["split"] == "train"].shape[0]) == 30
    assert "units without an md5 to check" in capsys.readouterr().out


def test_train_alone(url: str, tmp_path: pathlib.Path):
    prepare.main([f"--source={url}", f"--output={tmp_path}", *FLAGS, "--split=train"])
    assert set(read_tables(tmp_path / "decisions")["split"]) == {"train", "validation"}


def test_test_alone_is_a_dataset_to_score(url: str, tmp_path: pathlib.Path, capsys):
    prepare.main([f"--source={url}", f"--output={tmp_path}", *FLAGS, "--split=test"])
    kept = read_tables(tmp_path / "decisions")["keep"].sum()
    assert len(read_shards(tmp_path / VERSION, "test")) == kept > 0
    assert (tmp_path / VERSION / "labels.csv").read_text().count("\n") == 1  # the header
    assert "gld2 score --images" in capsys.readouterr().out


def test_curate_again_with_other_flags(url, prepared, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    curate_main([f"--source={url}", f"--output={output}", "--min_images_per_class=12"])
    labels = pd.read_csv(output / "decisions" / "labels.csv")
    assert labels["images"].min() >= 12
    with pytest.raises(UserError, match="made from other decisions"):
        shard_main([f"--output={output}", "--shard_size_mb=1"])
    shard_main([f"--output={output}", "--shard_size_mb=1", "--version=1.0.1"])
    stats = json.loads((output / "dataset/gld2/1.0.1/stats.json").read_text())
    assert stats["splits"]["train"]["images"] < len(read_shards(prepared / VERSION, "train"))


def test_other_parameters_are_refused_by_name(url: str, prepared: pathlib.Path):
    with pytest.raises(UserError, match="image_size 64, not 128"):
        prepare.main([f"--source={url}", f"--output={prepared}", "--image_size=128"])


# ---- bad sources ----------------------------------------------------------------------------


@pytest.fixture
def broken(world: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / "broken"
    shutil.copytree(world, root)
    return root


def test_a_wrong_md5_costs_that_archive_alone(broken, tmp_path, capsys):
    md5 = broken / "md5sum" / "train" / "md5.images_001.txt"
    md5.write_text("0" * 32 + "  images_001.tar\n")
    with pytest.raises(UserError, match="units that are not staged: 1, train-images_001 first"):
        prepare.main([f"--source={broken}", f"--output={tmp_path / 'out'}", *FLAGS, "--attempts=2"])
    units = {path.name for path in (tmp_path / "out" / "staged").glob("*.done.json")}
    assert len(units) == 4
    assert not list((tmp_path / "out").glob("*/train-images_001.[dtp]*"))  # of it, nothing shows
    (reject,) = read_rejects(tmp_path / "out/rejects/train-images_001.jsonl")
    assert reject["reason"] == "md5_mismatch"
    assert "0" * 32 in reject["detail"]
    assert "attempt 2 of 2" in reject["detail"]
    assert "1 units could not be staged" in capsys.readouterr().out


PAGE = b"<!DOCTYPE html><html><body>Slow down</body></html>"


@pytest.mark.parametrize(
    ("spoilt", "said"), [(lambda tar: PAGE, "HTML page"), (lambda tar: tar[:-30_000], "")]
)
def test_what_is_no_whole_tar_is_noticed_without_an_md5(broken, tmp_path, spoilt, said: str):
    tar = broken / "test" / "images_001.tar"
    tar.write_bytes(spoilt(tar.read_bytes()))
    (broken / "md5sum" / "test" / "md5.images_001.txt").unlink()
    with pytest.raises(UserError, match="units that are not staged: 1, test-images_001 first"):
        prepare.main([f"--source={broken}", f"--output={tmp_path / 'out'}", *FLAGS])
    (reject,) = read_rejects(tmp_path / "out/rejects/test-images_001.jsonl")
    assert reject["reason"] == "bad_archive"
    assert said in reject["detail"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,url\n0000000000000000,x\n", "train.csv row 1: .*landmark_id"),
        ("id,landmark_id\n00000000,5\n", "train.csv row 2: expected an id of 16 hex"),
    ],
)
def test_bad_train_csv_is_one_clear_error(broken, tmp_path, text: str, expected: str):
    (broken / "metadata" / "train.csv").write_text(text)
    with pytest.raises(UserError, match=expected) as caught:
        prepare.main([f"--source={broken}", f"--output={tmp_path / 'out'}", *FLAGS])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "staged").exists()


def test_photos_without_a_row_have_a_reason(broken, tmp_path):
    path = broken / "metadata" / "train.csv"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([rows[0], *rows[11:]]))
    prepare.main([f"--source={broken}", f"--output={tmp_path / 'out'}", *FLAGS])
    decisions = read_tables(tmp_path / "out" / "decisions")
    gone = {row.split(",")[0] for row in rows[1:11]}
    found = decisions[decisions["reason"] == "no_landmark"]
    assert set(found["id"]) <= gone
    assert set(decisions[decisions["id"].isin(gone)]["keep"]) == {False}
    assert len(found) >= 7
