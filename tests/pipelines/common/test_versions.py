"""Which version of a dataset is the newest, told from names alone and in folders."""

from __future__ import annotations

import pathlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common.versions import newest_first
from pipelines.inspection import version_folder
from pipelines.storage import photo_records

FOREIGN = ["notes", "", ".", "1.", ".1", "v1.0.0", "1.0.0 ", "1.0.0\n", "-1.0.0", "1..0", "\u0661"]
LEFT_OVER = ["1.1.0.incomplete", "1.0.0.incomplete", "2.0.0.tmp"]


def test_numbers_count_and_not_digits():
    names = ["1.9.0", "1.10.0", "0.99.99", "1.9.10", "1.9.9"]
    assert newest_first(names) == ["1.10.0", "1.9.10", "1.9.9", "1.9.0", "0.99.99"]


def test_a_version_of_more_numbers_is_newer_than_its_beginning():
    assert newest_first(["1", "1.0.0", "1.0", "2"]) == ["2", "1.0.0", "1.0", "1"]


@pytest.mark.parametrize("other", FOREIGN + LEFT_OVER)
def test_other_names_are_left_out(other: str):
    assert newest_first([other, "1.0.0"]) == ["1.0.0"]
    assert newest_first([other]) == []


def test_a_path_goes_by_its_last_part():
    folders = ["gs://b/9.9.9/gld2/1.9.0", "gs://b/1.0.0/gld2/1.10.0", "gs://b/gld2/1.11.0.tmp"]
    assert newest_first(folders) == ["gs://b/1.0.0/gld2/1.10.0", "gs://b/9.9.9/gld2/1.9.0"]


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4)), st.randoms())
def test_the_order_of_a_listing_changes_nothing(versions: list[list[int]], rng: random.Random):
    names = [".".join(map(str, version)) for version in versions]
    expected = [".".join(map(str, version)) for version in sorted(versions, reverse=True)]
    rng.shuffle(names)
    assert newest_first(names) == expected


def test_a_version_that_is_still_written_is_not_looked_at(tmp_path: pathlib.Path):
    for name in ("1.9.0", "1.10.0", "1.11.0.incomplete", "notes"):
        folder = tmp_path / "dataset" / "gld2" / name
        folder.mkdir(parents=True)
        for file in ("labels.csv", "stats.json", "gld2-test.tfrecord-00000-of-00001"):
            (folder / file).write_bytes(b"")
    newest = f"{tmp_path}/dataset/gld2/1.10.0"
    assert version_folder.find_version(f"{tmp_path}/dataset") == newest
    for place in (f"{tmp_path}", f"{tmp_path}/dataset"):
        assert photo_records.find(place, "test") == [f"{newest}/gld2-test.tfrecord-00000-of-00001"]
