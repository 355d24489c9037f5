"""Shards: their number, what is in a record, and what stays when something goes wrong."""

from __future__ import annotations

import io
import json
import pathlib
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines.common.errors import UserError
from pipelines.common.schema import ATTRIBUTION, IMAGE_ID
from pipelines.shard.command import main
from tests.conftest import digests
from tests.pipelines.conftest import read_shards, read_tables

VERSION = "dataset/gld2/1.0.0"


@pytest.fixture
def output(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder that was prepared, but for the shards."""
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    shutil.rmtree(output / "dataset")
    return output


def test_as_many_shards_as_asked_for_of_about_one_size(output: pathlib.Path):
    main([f"--output={output}", "--num_shards=3"])
    for split in ("train", "test", "validation"):
        assert len(list((output / VERSION).glob(f"gld2-{split}.tfrecord-*-of-00003"))) == 3
    sizes = [path.stat().st_size for path in (output / VERSION).glob("gld2-train*")]
    assert max(sizes) < 2 * min(sizes)
    decisions = read_tables(output / "decisions")
    for split, kept in decisions[decisions["keep"]].groupby("split"):
        found = [record[IMAGE_ID].decode() for record in read_shards(output / VERSION, str(split))]
        assert sorted(found) == sorted(kept["id"])


def test_attributions_are_in_train_records_and_in_no_others(world, output: pathlib.Path):
    credits = pd.read_csv(world / "metadata/train_attribution.csv", dtype=str, index_col="id")
    main([f"--source={world}", f"--output={output}", "--with_attribution"])
    for record in read_shards(output / VERSION, "train"):
        row = credits.loc[record[IMAGE_ID].decode()]
        assert {name: record[key].decode() for name, key in ATTRIBUTION.items()} == row.to_dict()
    assert not set(ATTRIBUTION.values()) & set(read_shards(output / VERSION, "test")[0])
    with pytest.raises(UserError, match="made from other"):
        main([f"--output={output}"])


def test_attribution_wants_a_source(output: pathlib.Path):
    with pytest.raises(UserError, match="--with_attribution: needs --source"):
        main([f"--output={output}", "--with_attribution"])


def test_channels_are_those_of_the_photos(output: pathlib.Path):
    main([f"--output={output}", "--num_shards=8"])
    stats = json.loads((output / VERSION / "stats.json").read_text())
    records = read_shards(output / VERSION, "train")
    assert stats["channels_of"] == len(records) == stats["splits"]["train"]["images"]
    pixels = np.concatenate(
        [np.asarray(Image.open(io.BytesIO(r["image/encoded"]))).reshape(-1, 3) for r in records]
    )
    np.testing.assert_allclose(stats["mean"], pixels.mean(0) / 255, atol=1e-4)
    np.testing.assert_allclose(stats["std"], pixels.std(0) / 255, atol=1e-4)


# ---- what goes wrong ------------------------------------------------------------------------


def failure(output: pathlib.Path, *flags: str) -> str:
    """The one clear line that it fails with; the datasets that were there are as they were."""
    before = digests(output / "dataset")
    with pytest.raises(UserError) as caught:
        main([f"--output={output}", "--version=2.0.0", *flags])
    assert "\n" not in str(caught.value)
    assert not (output / "dataset/gld2/2.0.0").exists()
    after = digests(output / "dataset")
    assert {name: after[name] for name in before} == before
    return str(caught.value)


@pytest.fixture
def sharded(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    shutil.copytree(prepared, tmp_path / "out")
    return tmp_path / "out"


def corrupt(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (corrupt, r"byte \d+: .*run gld2 download again"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), r"byte \d+: "),
        (lambda path: path.unlink(), ": cannot be read"),
    ],
    ids=["corrupt", "cut", "missing"],
)
def test_a_staged_file_that_is_not_whole_is_named(sharded: pathlib.Path, spoil, said: str):
    spoil(sharded / "staged/train-images_001.tfrecord")
    assert re.search(rf"train-images_001\.tfrecord ?{said}", failure(sharded))


def test_decisions_of_another_run_are_refused(sharded: pathlib.Path):
    (path,) = (sharded / "decisions").glob("*.parquet")
    decisions = pd.read_parquet(path, dtype_backend="pyarrow")
    decisions.assign(keep=False).to_parquet(path)
    assert "its digest differs from done.json; run gld2 curate again" in failure(sharded)
    path.unlink()
    assert "expected 1 files of decisions, found 0" in failure(sharded)
