"""Joining, deduping, labelling and splitting, as functions over columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import decisions, dedupe, repartition, split, tables
from pipelines.schema import Label, UserError, format_labels, parse_labels
from pipelines.vocabulary import Labels

DIGITS = "0123456789abcdef"


def hex_id(number: int) -> str:
    return f"{number:016x}"


def work(rows: list[dict]) -> pd.DataFrame:
    """Rows as `join` leaves them, with what is not given filled in."""
    base = {"split": "train", "unit": "u", "status": "staged", "clean": False, "landmark_id": 1}
    table = pd.DataFrame([dict.fromkeys(decisions.WORK) | base | row for row in rows])
    return table.astype(tables.empty(decisions.WORK).dtypes.to_dict())


images = st.lists(
    st.fixed_dictionaries(
        {
            "sha256": st.sampled_from(["aa", "bb", "cc"]),
            "landmark_id": st.integers(1, 2),
            "clean": st.booleans(),
            "split": st.sampled_from(["train", "train", "test"]),
        }
    ),
    min_size=1,
    max_size=12,
).map(lambda rows: work([row | {"id": hex_id(i)} for i, row in enumerate(rows)]))


@given(images)
def test_no_two_kept_train_images_have_the_same_bytes(table: pd.DataFrame):
    found = dedupe.drop_exact_duplicates(table)
    kept = found[found["reason"].isna()]
    train = kept[kept["split"] == "train"]
    assert not train["sha256"].duplicated().any()
    assert not set(train["sha256"]) & set(kept.loc[kept["split"] == "test", "sha256"])


@given(images)
def test_test_images_are_never_dropped(table: pd.DataFrame):
    found = dedupe.drop_exact_duplicates(table)
    assert found.loc[found["split"] == "test", "reason"].isna().all()


@given(images)
def test_what_goes_points_to_another_image_of_the_same_bytes(table: pd.DataFrame):
    found = dedupe.drop_exact_duplicates(table).set_index("id")
    for image_id, row in found[found["reason"].notna()].iterrows():
        assert row["duplicate_of"] != image_id
        other = found.loc[row["duplicate_of"]]
        assert other["sha256"] == row["sha256"]
        assert pd.isna(other["reason"]) or other["reason"] == "label_conflict"
        if row["reason"] == "in_test":
            assert other["split"] == "test"


@given(images, st.randoms())
def test_the_order_of_rows_decides_nothing(table: pd.DataFrame, random):
    order = list(range(len(table)))
    random.shuffle(order)
    one = dedupe.drop_exact_duplicates(table)
    other = dedupe.drop_exact_duplicates(table.iloc[order].reset_index(drop=True))
    pd.testing.assert_frame_equal(one, other.sort_values("id", ignore_index=True))


def test_a_conflict_that_the_clean_list_does_not_settle_drops_all():
    both = [{"id": hex_id(i), "sha256": "aa", "landmark_id": i, "clean": True} for i in (1, 2)]
    found = dedupe.drop_exact_duplicates(work(both))
    assert found["reason"].tolist() == ["label_conflict"] * 2
    assert found["duplicate_of"].tolist() == [hex_id(2), hex_id(1)]


def test_labels_are_looked_up_with_nulls():
    labels = Labels(np.array([7, 3]))
    found = labels.lookup(pd.Series([3, None, 7, 8], dtype="int64[pyarrow]"))
    assert found.fillna(-1).tolist() == [1, -1, 0, -1]


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=40),
    st.sampled_from([None, 0.0, 0.3, 0.9]),
    st.integers(0, 3),
)
def test_validation_never_empties_a_landmark(landmarks: list[int], share, seed: int):
    table = work([{"id": hex_id(i * 7919), "landmark_id": x} for i, x in enumerate(landmarks)])
    found = split.assign_validation(table.assign(keep=True), share, seed)
    for _, rows in found.groupby("landmark_id"):
        assert (rows["split"] == "train").any()
        if share is None:
            assert (rows["split"] == "validation").sum() == (len(rows) > split.MORE_THAN)
    if share == 0.0:
        assert set(found["split"]) == {"train"}


def test_a_share_is_about_that_share():
    ids = [hex_id(i * 104_729) for i in range(4000)]
    table = work([{"id": x, "landmark_id": i % 40} for i, x in enumerate(ids)]).assign(keep=True)
    found = split.assign_validation(table, 0.1, seed=1)
    assert 0.08 < (found["split"] == "validation").mean() < 0.12


@given(st.lists(st.text(DIGITS, min_size=16, max_size=16), min_size=1), st.integers(1, 70))
def test_partitions_by_hash_cover_and_keep_the_order(ids: list[str], parts: int):
    table = pd.DataFrame({"id": ids}, dtype="string[pyarrow]")
    found = dict(repartition.split(table, repartition.by_hex("id", parts)))
    assert sum(map(len, found.values())) == len(ids)
    assert set(found) <= set(range(parts))
    assert [x for part in sorted(found) for x in sorted(found[part]["id"])] == sorted(ids)


def test_partitions_take_nulls_and_empty_ids():
    table = pd.DataFrame({"id": ["", None, "f" * 16]}, dtype="string[pyarrow]")
    assert repartition.by_hex("id", 8)(table).tolist() == [0, 0, 7]
    numbers = pd.DataFrame({"n": [None, 13]}, dtype="int64[pyarrow]")
    assert repartition.by_number("n", 8)(numbers).tolist() == [0, 5]


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
