"""Facts beside metadata as it comes: repeated, contradicting itself, or about other images."""

from __future__ import annotations

import pathlib

import apache_beam as beam
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common.options.curation import FilterOptions
from pipelines.common.reasons import Reason
from pipelines.curate import decisions
from pipelines.curate.filters import read_credits
from pipelines.curate.inputs import with_filters
from pipelines.curate.join import Join, join
from pipelines.source import metadata_csv
from pipelines.source.discover import Source
from pipelines.storage import parquet

A, B, C, D, E = ("abcde"[i] * 16 for i in range(5))
FACT = {"split": "train", "unit": "u", "status": "staged", "offset": 0, "length": 9,
        "sha256": "0" * 64, "bytes": 9, "width": 800, "height": 600, "entropy": 7.0}  # fmt: skip


def facts(*rows: dict) -> pd.DataFrame:
    return parquet.from_rows([FACT | row for row in rows], decisions.FACTS)


def joined(
    table: pd.DataFrame, folder: pathlib.Path, train: str = "", clean: str = "", credits: str = ""
) -> tuple[pd.DataFrame, dict[str, int]]:
    """By way of files, as a user has them; counts of nothing are left out."""
    path, filters = (
        folder / "some.csv",
        FilterOptions(licences=("by",)) if credits else FilterOptions(),
    )

    def read(text: str, reader, *args) -> list[pd.DataFrame]:
        path.write_text(text)
        return list(reader(str(path), *args)) if text else []

    found, counts = join(
        [table],
        read(train, metadata_csv.train_rows),
        read(clean, metadata_csv.clean_ids),
        read(credits, read_credits, filters),
        filters,
    )
    assert list(found) == list(decisions.WORK)
    return found, {what: number for what, number in counts.items() if number}


def column(table: pd.DataFrame, name: str) -> list:
    return [None if pd.isna(value) else value for value in table[name]]


def test_what_has_no_landmark_and_what_came_twice(tmp_path):
    rows = facts(
        {"id": A, "offset": 9},
        {"id": C, "split": "test"},
        {"id": A, "offset": 0},
        {"id": B},
        {"id": C, "split": "test", "offset": 9},
    )
    table, counts = joined(rows, tmp_path, f"id,landmark_id\n{A},5\n{D},6\n")
    assert column(table, "id") == [A, A, B, C, C]
    assert column(table, "offset") == [0, 9, 0, 0, 9]
    assert column(table, "landmark_id") == [5, 5, None, None, None]
    assert column(table, "reason") == [None, "repeated_id", "no_landmark", None, "repeated_id"]
    assert counts == {"train_rows_without_image": 1}


def test_rows_that_agree_are_taken_once_and_rows_that_do_not_are_not_taken(tmp_path):
    text = f"landmark_id,id\r\n5,{A}\r\n6,{B}\r\n5,{A}\r\n7,{B}\r\n5,{A}\r\n8,{B}\r\n"
    table, counts = joined(facts({"id": A}, {"id": B}), tmp_path, text)
    assert column(table, "landmark_id") == [5, None]
    assert column(table, "reason") == [None, "several_landmarks"]
    assert counts == {"train_rows_repeated": 2, "train_ids_of_several_landmarks": 1}


def test_a_rejected_image_keeps_its_reason_and_lets_the_next_of_its_id_in(tmp_path):
    gone = {"status": "rejected", "reason": "undecodable", "width": None, "height": None}
    rows = facts({"id": A} | gone, {"id": A, "offset": 9}, {"id": "", "reason": "bad_name"})
    table, _ = joined(rows, tmp_path, f"id,landmark_id\n{A},5\n")
    assert column(table, "reason") == ["bad_name", "undecodable", None]


def test_an_id_in_train_and_test_is_two_images(tmp_path):
    rows = facts({"id": A}, {"id": A, "split": "test"}, {"id": A, "split": "index"})
    table, counts = joined(
        rows, tmp_path, f"id,landmark_id\n{A},5\n", f"landmark_id,images\n5,{A}\n"
    )
    found = table.set_index("split")
    found = found.loc[["train", "test", "index"]]
    assert column(found, "landmark_id") == [5, None, None]
    assert column(found, "clean") == [True, False, False]
    assert column(found, "reason") == [None, None, "reference"]
    assert counts == {}


def test_index_images_are_references_once_each(tmp_path):
    index = {"split": "index", "width": 1}
    rows = facts({"id": A} | index, {"id": A, "offset": 9} | index, {"id": B, "reason": "empty"})
    table, _ = joined(rows.assign(split="index"), tmp_path)
    assert column(table, "reason") == ["reference", "repeated_id", "empty"]


def test_the_clean_list_beside_train_csv(tmp_path):
    train = f"id,landmark_id\n{A},5\n{B},6\n{C},7\n{D},8\n"
    clean = f"landmark_id,images\n5,{A} {A} {B}\n6,{C}\n7,{C}\n8,{D}\n9,{E}\n10,\n"
    table, counts = joined(facts({"id": A}, {"id": B}, {"id": C}), tmp_path, train, clean)
    assert column(table, "clean") == [True, False, False]
    assert column(table, "landmark_id") == [5, 6, 7]
    assert counts == {
        "clean_ids_repeated": 2,
        "clean_ids_of_another_landmark": 2,  # B's, and one of the two that C has
        "clean_ids_not_in_train": 1,
        "clean_ids_without_image": 2,
        "train_rows_without_image": 1,
    }


def test_images_without_attribution_are_dropped_and_counted(tmp_path):
    train = "id,landmark_id\n" + "".join(f"{x},1\n" for x in (A, B, C, D))
    credits = f'id,license,author\n{A},by,"Jo\nJo"\n{B},nd,\n{C},by,\n{C},nd,\n'
    rows = facts({"id": A}, {"id": B}, {"id": C}, {"id": D}, {"id": E, "split": "test"})
    table, counts = joined(rows, tmp_path, train, credits=credits)
    assert column(table, "reason") == [None, "licence", "licence", "licence", None]
    assert counts == {"images_without_attribution": 1}


ids = st.sampled_from([A, B, C, D, E])
rows = st.lists(st.tuples(ids, st.integers(1, 2)), max_size=8)
images = st.lists(
    st.fixed_dictionaries(
        {
            "id": ids,
            "split": st.sampled_from(["train", "train", "test", "index"]),
            "reason": st.sampled_from([None, None, None, "empty"]),
            "width": st.sampled_from([20, 800]),
        }
    ),
    max_size=8,
).map(lambda rows: [row | {"offset": i} for i, row in enumerate(rows)])


def listed(pairs: list[tuple[str, int]]) -> pd.DataFrame:
    found = [{"id": image_id, "landmark_id": landmark} for image_id, landmark in pairs]
    return parquet.from_rows(found, metadata_csv.TRAIN)


def slowly(images, train, clean, clean_only) -> dict[int, tuple]:
    """The same, a row at a time: offset -> landmark and reason."""
    found, seen = {}, set()
    for row in sorted(images, key=lambda row: (row["id"], row["split"], row["offset"])):
        is_train = row["split"] == "train"
        landmarks = {landmark for image_id, landmark in train if image_id == row["id"]}
        cleans = {landmark for image_id, landmark in clean if image_id == row["id"]}
        reason, again = row["reason"], (row["id"], row["split"]) in seen
        if reason is None:
            seen.add((row["id"], row["split"]))
            if is_train and len(landmarks) != 1:
                reason = Reason.SEVERAL_LANDMARKS if landmarks else Reason.NO_LANDMARK
            elif again:
                reason = Reason.REPEATED_ID
            elif row["split"] == "index":
                reason = Reason.REFERENCE
            elif is_train and row["width"] < 32:
                reason = Reason.TOO_SMALL
            elif is_train and clean_only and cleans != landmarks:
                reason = Reason.NOT_CLEAN
        known = is_train and len(landmarks) == 1
        found[row["offset"]] = min(landmarks) if known else None, reason
    return found


@given(images, rows, rows, st.booleans())
def test_join_is_what_a_plain_loop_makes_of_it(images, train, clean, clean_only):
    tables_of = [facts(*images)] if images else []
    chosen = FilterOptions(clean_only=clean_only, max_aspect=1000)
    found, counts = join(tables_of, [listed(train)], [listed(clean)], [], chosen)
    columns = zip(column(found, "landmark_id"), column(found, "reason"), strict=True)
    expected = slowly(images, train, clean, clean_only)
    assert dict(zip(found["offset"], columns, strict=True)) == expected

    trained, seen = {x for x, _ in train}, {x["id"] for x in images if x["split"] == "train"}
    foreign = {x for x, landmark in clean if x in trained and (x, landmark) not in train}
    assert counts["train_rows_repeated"] == len(train) - len(set(train))
    assert counts["train_ids_of_several_landmarks"] == sum(
        len({landmark for y, landmark in train if x == y}) > 1 for x in trained
    )
    assert counts["train_rows_without_image"] == sum(x not in seen for x, _ in set(train))
    assert counts["clean_ids_not_in_train"] == len({x for x, _ in clean} - trained)
    assert counts["clean_ids_without_image"] == len({x for x, _ in clean} - seen)
    assert counts["clean_ids_of_another_landmark"] == len(foreign)


def test_the_transform_over_partitions(tmp_path):
    folder = tmp_path / "metadata"
    folder.mkdir()
    (folder / "train.csv").write_text(f"id,landmark_id\n{A},1\n{B},2\n{C},1\n{D},1\n{E},1\n")
    (folder / "clean.csv").write_text(f"landmark_id,images\n1,{A} {B} {C} {D}\n")
    (folder / "train_attribution.csv").write_text(
        f"id,author,license\n{A},x,by\n{B},x,by\n{C},Jo,by\n"
    )
    (folder / "train_label_to_category.csv").write_text("landmark_id,category\n1,fort\n2,zoo\n")
    filters = FilterOptions(excluded_authors=("Jo",), categories=("fort",))
    source = Source(str(tmp_path), (), f"{folder}/train.csv", f"{folder}/clean.csv", None)
    transform = Join(with_filters(source, filters), filters, parts=7)
    wanted = {A: None, B: "category", C: "author", D: None, E: "too_small"}

    def check_tables(found):
        assert {row["id"]: row["reason"] for row in found} == wanted

    def check_counts(found):
        assert sum(counts["images_without_attribution"] for counts in found) == 2
        assert sum(counts["clean_ids_of_another_landmark"] for counts in found) == 1

    with beam.Pipeline("FnApiRunner") as pipeline:
        tables_of = [facts({"id": A}, {"id": E, "height": 9}), facts({"id": D}, {"id": B})]
        joined, counts = pipeline | beam.Create([*tables_of, facts({"id": C})]) | transform
        found = joined | beam.FlatMapTuple(lambda _, table: parquet.to_rows(table, decisions.WORK))
        _ = found | beam.combiners.ToList() | "CheckTables" >> beam.Map(check_tables)
        _ = counts | "Counts" >> beam.combiners.ToList() | "Check" >> beam.Map(check_counts)


@pytest.mark.parametrize("text", ["id,landmark_id\n", "id,landmark_id,url\r\n"])
def test_a_header_alone_leaves_no_landmarks(tmp_path, text):
    table, counts = joined(facts({"id": A}), tmp_path, text, "landmark_id,images\n")
    assert column(table, "reason") == ["no_landmark"]
    assert counts == {}
