"""Joining, deduping, labelling and splitting, as functions over columns."""

from __future__ import annotations

import collections

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.common.errors import UserError
from pipelines.common.labels import Label, format_labels, parse_labels
from pipelines.common.options.curation import CurateOptions
from pipelines.curate import decisions, validation_split
from pipelines.curate.vocabulary import Labels
from pipelines.runner import partition
from pipelines.storage import parquet

PARAMETERS = CurateOptions(min_images_per_class=4, validation_share=None, seed=0)
DIGITS = "0123456789abcdef"


def hex_id(number: int) -> str:
    return f"{number:016x}"


def work(rows: list[dict]) -> pd.DataFrame:
    """Rows as `join` leaves them, with what is not given filled in."""
    base = {"split": "train", "unit": "u", "status": "staged", "clean": False, "landmark_id": 1}
    table = pd.DataFrame([dict.fromkeys(decisions.WORK) | base | row for row in rows])
    return table.astype(parquet.empty(decisions.WORK).dtypes.to_dict())


def test_labels_are_looked_up_with_nulls():
    labels = Labels(np.array([7, 3]))
    found = labels.lookup(pd.Series([3, None, 7, 8], dtype="int64[pyarrow]"))
    assert found.fillna(-1).tolist() == [1, -1, 0, -1]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=40),
    st.sampled_from([None, 0.0, 0.3, 0.9]),
    st.integers(0, 3),
)
def test_validation_never_empties_a_landmark(landmarks: list[int], share, seed: int):
    table = work([{"id": hex_id(i * 7919), "landmark_id": x} for i, x in enumerate(landmarks)])
    table = table.assign(chosen=validation_split.choose_validation(table, share, seed))
    for _, rows in table.groupby("landmark_id"):
        assert not rows["chosen"].all()
        if share is None:
            assert rows["chosen"].sum() == (len(rows) > validation_split.MORE_THAN)
    if share == 0.0:
        assert not table["chosen"].any()


@settings(deadline=None)
@given(st.integers(0, 3), st.randoms(), st.sampled_from([None, 0.3]))
def test_validation_does_not_hang_on_the_order_of_rows(seed: int, random, share):
    table = work([{"id": hex_id(i * 7919), "landmark_id": i % 3} for i in range(30)])
    shuffled = table.sample(frac=1, random_state=random.randrange(99))
    one, other = (
        set(x["id"][validation_split.choose_validation(x, share, seed)]) for x in (table, shuffled)
    )
    assert one == other


def test_a_share_is_about_that_share():
    ids = [hex_id(i * 104_729) for i in range(4000)]
    table = work([{"id": x, "landmark_id": i % 40} for i, x in enumerate(ids)])
    assert 0.08 < validation_split.choose_validation(table, 0.1, seed=1).mean() < 0.12


@settings(deadline=None)
@given(st.lists(st.sampled_from([5, 6, 7]), min_size=1, max_size=30), st.integers(1, 12))
def test_no_landmark_under_the_threshold_keeps_an_image(landmarks: list[int], least: int):
    sizes = collections.Counter(landmarks)
    ids = [x for x, n in sizes.most_common() if n >= least]
    table = work([{"id": hex_id(i), "landmark_id": x} for i, x in enumerate(landmarks)])
    labelled = decisions.label(table[list(decisions.DEDUPED)], Labels(np.array(ids, np.int64)))
    found = decisions.classes(labelled[list(decisions.TRAIN)], PARAMETERS)
    assert found.seen == len(sizes)
    assert dict(found.kept[["landmark_id", "images"]].to_numpy().tolist()) == {
        x: sizes[x] for x in ids
    }
    (row,) = decisions.what_if(found.sizes, [least])
    assert row.classes == len(ids)
    assert row.images == labelled["keep"].sum() == sum(sizes[x] for x in ids)
    assert set(labelled["reason"].dropna()) <= {"rare_class"}


@settings(deadline=None)
@given(st.lists(st.text(DIGITS, min_size=16, max_size=16), min_size=1), st.integers(1, 70))
def test_partitions_by_hash_cover_and_keep_the_order(ids: list[str], parts: int):
    table = pd.DataFrame({"id": ids}, dtype="string[pyarrow]")
    found = dict(partition.split(table, partition.by_hex("id", parts)))
    assert sum(map(len, found.values())) == len(ids)
    assert set(found) <= set(range(parts))
    assert [x for part in sorted(found) for x in sorted(found[part]["id"])] == sorted(ids)


def test_partitions_take_nulls_and_empty_ids():
    table = pd.DataFrame({"id": ["", None, "f" * 16]}, dtype="string[pyarrow]")
    assert partition.by_hex("id", 8)(table).tolist() == [0, 0, 7]
    numbers = pd.DataFrame({"n": [None, 13]}, dtype="int64[pyarrow]")
    assert partition.by_number("n", 8)(numbers).tolist() == [0, 5]


def test_labels_file_is_read_as_it_was_written():
    labels = [Label(0, 77, 9), Label(1, 5, 4)]
    assert parse_labels(format_labels(labels)) == labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label,landmark_id\n", "expected the header"),
        ("label,landmark_id,images\n0,x,1\n", "row 2: expected three integers"),
        ("label,landmark_id,images\n1,5,1\n", "row 2: expected label 0"),
    ],
)
def test_malformed_labels_name_the_row(text: str, expected: str):
    with pytest.raises(UserError, match=expected):
        parse_labels(text)
