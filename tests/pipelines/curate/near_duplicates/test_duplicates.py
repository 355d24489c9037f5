"""Who survives, who goes and why: rules that hold for any likenesses."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.common.options.curation import CONFLICTS
from pipelines.common.reasons import Reason
from pipelines.curate import decisions
from pipelines.curate.near_duplicates import duplicates
from pipelines.storage import parquet


def hex_id(number: int) -> str:
    return f"{number:016x}"


def work(rows: list[dict]) -> pd.DataFrame:
    """Open images, with what is not given filled in; ids are their numbers unless given."""
    base = {"split": "train", "clean": False, "landmark_id": 1, "width": 40, "height": 30}
    filled = [
        dict.fromkeys(decisions.WORK) | base | {"id": hex_id(n), "sha256": f"{n:064x}"} | row
        for n, row in enumerate(rows)
    ]
    for row in filled:
        row["landmark_id"] = row["landmark_id"] if row["split"] == "train" else None
    return pd.DataFrame(filled).astype(parquet.empty(decisions.WORK).dtypes.to_dict())


def linked(images: pd.DataFrame, edges: list[tuple[int, int, bool]]) -> pd.DataFrame:
    """Pairs of rows, and whether the two are the same."""
    splits = images["split"].tolist()
    rows = [(a, b, splits[a], splits[b], same) for a, b, same in edges]
    pairs = pd.DataFrame(rows, columns=duplicates.PAIR)
    return pairs.astype({"a": "uint64", "b": "uint64", "same": bool})


def removals(images, pairs, on_conflict="keep_clean", against=("test",)) -> pd.DataFrame:
    found = duplicates.resolve(images, pairs, on_conflict, against)
    return images.merge(found, on=duplicates.KEY, how="left", suffixes=("_before", "")).set_index(
        "id"
    )


@st.composite
def worlds(draw):
    """Images with random landmarks, splits and likenesses."""
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "landmark_id": st.integers(1, 2),
                    "clean": st.booleans(),
                    "split": st.sampled_from(["train", "train", "train", "test"]),
                    "width": st.sampled_from([40, 50]),
                }
            ),
            min_size=2,
            max_size=14,
        )
    )
    images = work(rows)
    ends = st.integers(0, len(rows) - 1)
    edges = draw(st.lists(st.tuples(ends, ends, st.booleans()), max_size=20))
    splits = images["split"]
    edges = [(a, b, same) for a, b, same in edges if a != b and "train" in (splits[a], splits[b])]
    return images, linked(images, edges)


conflicts = st.sampled_from(CONFLICTS)


@given(worlds(), conflicts)
@settings(deadline=None)
def test_no_two_kept_images_are_alike(world, on_conflict: str):
    images, pairs = world
    kept = set(removals(images, pairs, on_conflict).query("reason.isna()").index)
    for a, b in zip(pairs["a"], pairs["b"], strict=True):
        assert not {hex_id(a), hex_id(b)} <= kept


@given(worlds(), conflicts)
@settings(deadline=None)
def test_what_goes_points_to_an_image_that_stays_or_is_explained(world, on_conflict: str):
    images, pairs = world
    found = removals(images, pairs, on_conflict)
    assert found.loc[found["split"] == "test", "reason"].isna().all()
    for image_id, row in found[found["reason"].notna()].iterrows():
        assert row["duplicate_of"] != image_id
        other = found.loc[row["duplicate_of"]]
        assert pd.isna(other["reason"]) or other["reason"] == Reason.LABEL_CONFLICT
        if row["reason"] in (Reason.IN_TEST, Reason.NEAR_TEST):
            assert other["split"] == "test"
        if row["reason"] in (Reason.DUPLICATE, Reason.NEAR_DUPLICATE):
            assert row["landmark_id"] == other["landmark_id"]
            assert pd.isna(other["reason"])


@given(worlds(), worlds(), conflicts)
@settings(deadline=None)
def test_unrelated_images_change_nothing(world, others, on_conflict: str):
    images, pairs = world
    more, their_pairs = others
    shift = len(images)
    ids = [hex_id(int(i, 16) + shift) for i in more["id"]]
    more = more.assign(id=pd.array(ids, more["id"].dtype), sha256="f" + more["sha256"].str[1:])
    their_pairs = their_pairs.assign(a=their_pairs["a"] + shift, b=their_pairs["b"] + shift)
    alone = removals(images, pairs, on_conflict)
    together = removals(
        pd.concat([more, images], ignore_index=True),
        pd.concat([their_pairs, pairs], ignore_index=True),
        on_conflict,
    )
    columns = ["reason", "duplicate_of"]
    found, expected = (x[columns].fillna("").to_numpy() for x in (together.loc[alone.index], alone))
    assert found.tolist() == expected.tolist()


@given(worlds(), conflicts, st.randoms())
@settings(deadline=None)
def test_the_order_of_rows_and_pairs_decides_nothing(world, on_conflict: str, random):
    images, pairs = world
    seed = random.randrange(1000)
    one = duplicates.resolve(images, pairs, on_conflict, ("test",))
    shuffled = images.sample(frac=1, random_state=seed).reset_index(drop=True)
    turned = pairs.rename(
        columns={"a": "b", "b": "a", "a_split": "b_split", "b_split": "a_split"}
    ).sample(frac=1, random_state=seed)
    other = duplicates.resolve(shuffled, turned[duplicates.PAIR], on_conflict, ("test",))
    pd.testing.assert_frame_equal(*(x.sort_values("id", ignore_index=True) for x in (one, other)))


def outcome(rows: list[dict], edges: list[tuple], **flags) -> list[str]:
    images = work(rows)
    pairs = linked(images, [(*edge, False)[:3] for edge in edges])
    return removals(images, pairs, **flags)["reason"].fillna("kept").tolist()


def test_the_kept_image_is_clean_then_large_then_first():
    clean, large, plain = {"clean": True}, {"width": 80}, {}
    star = [(0, 1), (0, 2), (1, 2)]
    gone = "near_duplicate"
    assert outcome([large, plain, clean], star) == [gone, gone, "kept"]
    assert outcome([plain, large, plain], star) == [gone, "kept", gone]
    assert outcome([plain, plain, plain], star) == ["kept", gone, gone]


def test_a_chain_does_not_join_its_ends():
    found = outcome([{}, {}, {}], [(0, 1), (1, 2)])
    assert found == ["kept", "near_duplicate", "kept"]


def test_images_that_are_the_same_are_like_the_same_others():
    images = [{"clean": True}, {}, {}]
    assert outcome(images, [(1, 2, True), (0, 1)]) == ["kept", "near_duplicate", "near_duplicate"]


@pytest.mark.parametrize(
    ("on_conflict", "clean", "expected"),
    [
        ("drop", [True, False, False], ["label_conflict"] * 3),
        ("keep_first", [False] * 3, ["kept", "near_duplicate", "label_conflict"]),
        ("keep_clean", [False] * 3, ["label_conflict"] * 3),
        ("keep_clean", [True, False, False], ["kept", "near_duplicate", "label_conflict"]),
        ("keep_clean", [False, False, True], ["label_conflict", "label_conflict", "kept"]),
        ("keep_clean", [True, False, True], ["label_conflict"] * 3),
    ],
)
def test_conflicts(on_conflict: str, clean: list[bool], expected: list[str]):
    rows = [{"clean": c, "landmark_id": n} for c, n in zip(clean, (1, 1, 2), strict=True)]
    star = [(0, 1), (0, 2), (1, 2)]
    assert outcome(rows, star, on_conflict=on_conflict) == expected


def test_leaks_go_first_and_say_how_near_they_are():
    rows = [{"split": "test", "sha256": "aa"}, {"sha256": "aa", "clean": True}, {"clean": True}, {}]
    edges = [(0, 1, True), (0, 2), (2, 3)]
    assert outcome(rows, edges) == ["kept", "in_test", "near_test", "kept"]
    assert outcome(rows, edges, against=()) == ["kept", "kept", "kept", "near_duplicate"]


def test_index_counts_only_where_asked():
    rows = [{"split": "index"}, {}]
    assert outcome(rows, [(0, 1)]) == ["kept", "kept"]
    assert outcome(rows, [(0, 1)], against=("test", "index")) == ["kept", "near_index"]
    index = work([{"split": "index", "reason": "reference"}, {}, {"reason": "undecodable"}])
    assert duplicates.comparable(index)["id"].tolist() == [hex_id(0), hex_id(1)]


def test_pairs_of_images_that_went_before_are_nothing():
    images = work([{}, {}])
    pairs = linked(images, [(0, 1, False)])
    assert duplicates.resolve(images[:1], pairs, "drop", ("test",)).empty


def test_exact_pairs_are_each_with_the_first():
    images = work([{"sha256": "aa"}, {"sha256": "bb"}, {"sha256": "aa"}, {"sha256": "aa"}])
    found = duplicates.exact_pairs(images)
    assert found[["a", "b", "same"]].to_numpy().tolist() == [[0, 2, True], [0, 3, True]]


def test_removals_are_put_on_open_rows_only():
    images = work([{}, {"reason": "undecodable"}, {}])
    found = pd.DataFrame(
        [("train", hex_id(n), "duplicate", hex_id(2)) for n in (0, 1)],
        columns=["split", "id", "reason", "duplicate_of"],
    ).astype("string[pyarrow]")
    after = duplicates.apply(images, found)
    assert after["reason"].fillna("").tolist() == ["duplicate", "undecodable", ""]
    assert after["duplicate_of"].fillna("").tolist() == [hex_id(2), "", ""]
    assert duplicates.linked(images, [linked(images, [(0, 1, True)])])["id"].tolist() == [hex_id(0)]
