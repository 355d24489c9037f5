"""Which train images the filters drop, and for which reason first."""

from __future__ import annotations

import pathlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common.errors import UserError
from pipelines.common.options.curation import CurateOptions, FilterOptions
from pipelines.common.records import json_record
from pipelines.common.schema import FACTS
from pipelines.curate import filters
from pipelines.curate.command import COMMAND
from pipelines.curate.inputs import with_filters
from pipelines.source.discover import Source
from pipelines.storage import parquet

A, B, C = "a" * 16, "b" * 16, "c" * 16
IMAGES = {name: FACTS[name] for name in ("split", "reason", "width", "height", "entropy")} | {
    "clean": "bool",
    "landmark_id": "int64",
    "licensed": "bool",
    "excluded": "bool",
}
GOOD = {"split": "train", "width": 800, "height": 600, "entropy": 7.0, "clean": True,
        "landmark_id": 1, "licensed": True, "excluded": False}  # fmt: skip
ALL = FilterOptions(
    clean_only=True, licences=("/by/",), excluded_authors=("Jo",), categories=("x",)
)
ALLOWED = np.array([1, 2])
FAULTS = {  # in the order in which they are told
    "reason": "undecodable",
    "width": 31,
    "height": 3001,  # beside a width of 31 or of 600
    "entropy": 0.99,
    "clean": False,
    "licensed": None,
    "excluded": True,
    "landmark_id": 3,
}
TOLD = ["undecodable", "too_small", "extreme_aspect", "blank", "not_clean", "licence", "author",
        "category"]  # fmt: skip


def images(*rows: dict) -> pd.DataFrame:
    return parquet.from_rows([GOOD | row for row in rows], IMAGES)


def reasons(table: pd.DataFrame, chosen: FilterOptions, allowed=None) -> list[str | None]:
    found = filters.drop(table, chosen, allowed)["reason"]
    return [None if pd.isna(reason) else reason for reason in found]


@given(st.lists(st.sets(st.sampled_from(list(FAULTS))), max_size=6))
def test_the_first_reason_is_the_one_told(faults: list[set[str]]):
    table = images(*({"width": 600} | {k: FAULTS[k] for k in some} for some in faults))
    first = [next((told for k, told in zip(FAULTS, TOLD, strict=True) if k in x), None)
             for x in faults]  # fmt: skip
    assert reasons(table, ALL, ALLOWED) == first


@given(st.sets(st.sampled_from(list(FAULTS)[1:])), st.sampled_from(["test", "index"]))
def test_only_train_is_filtered(faults: set[str], split: str):
    table = images({k: FAULTS[k] for k in faults} | {"split": split})
    pd.testing.assert_frame_equal(filters.drop(table, ALL, ALLOWED), table)


def test_bounds_are_kept():
    least = {"width": 32, "height": 160, "entropy": 1.0}
    assert reasons(images(least), FilterOptions()) == [None]
    assert reasons(images({"width": 160, "height": 32}), FilterOptions(max_aspect=4.9)) == [
        "extreme_aspect"
    ]
    nothing = {"width": 1, "height": 900, "entropy": 0.0}
    assert reasons(images(nothing), FilterOptions(min_side=0, max_aspect=1000, min_entropy=0)) == [
        None
    ]


def test_flags_that_are_not_given_look_at_nothing():
    table = images({"clean": False, "licensed": False, "excluded": True, "landmark_id": 9})
    assert reasons(table.drop(columns=["licensed", "excluded"]), FilterOptions()) == [None]


# ---- attributions ---------------------------------------------------------------------------

CREDITS = f'''id,url,author,license,title
{A},http://x,Jo,https://creativecommons.org/licenses/by/2.0/,"two
lines, ""quoted"""
{B},http://y,"  ADA Example, Esq. ",https://creativecommons.org/licenses/BY-SA/3.0/,t
{C},http://z,,,
'''


def credits(tmp_path: pathlib.Path, chosen: FilterOptions) -> dict[str, tuple[bool, bool]]:
    path = tmp_path / "train_attribution.csv"
    path.write_text(CREDITS)
    table = pd.concat(list(filters.read_credits(str(path), chosen)))
    assert list(table) == list(filters.CREDITS)  # and no free text
    return {row[0]: row[1:] for row in table.itertuples(index=False, name=None)}


@pytest.mark.parametrize(
    ("licences", "kept"),
    [
        (("/by/",), [A]),
        (("/BY-sa/",), [B]),
        (("/by",), [A, B]),
        (("/by/2.0/", "sa/3"), [A, B]),
        (("b.", "by/2?0"), []),  # text, not a pattern
    ],
)
def test_a_licence_contains_what_is_asked_for(tmp_path, licences, kept):
    found = credits(tmp_path, FilterOptions(licences=licences))
    assert [image_id for image_id, (licensed, _) in found.items() if licensed] == kept


@pytest.mark.parametrize(
    ("authors", "dropped"),
    [(("jo",), [A]), (("Ada example, ESQ.",), [B]), (("Ada", "J"), []), ((), [])],
)
def test_an_author_is_named_in_full(tmp_path, authors, dropped):
    found = credits(tmp_path, FilterOptions(excluded_authors=authors))
    assert [image_id for image_id, (_, excluded) in found.items() if excluded] == dropped


# ---- categories -----------------------------------------------------------------------------

WIKI = "http://commons.wikimedia.org/wiki/Category:"
HIERARCHICAL = f"""\
landmark_id,category,supercategory,hierarchical_label,natural_or_human_made
1,{WIKI}Ch%C3%A2teau_d%27If,castle,castle / fort,human-made
2,"{WIKI}Saint-Pierre,_Paris",Church,religious building,human-made
3,{WIKI}Mont_Blanc,mountain,mountain,natural
4,{WIKI}Château d'Eau,,,
"""


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        (["church"], [2]),
        (["CASTLE / fort", "natural"], [1, 3]),
        (["château d'if"], [1]),
        ([f"{WIKI}Ch%C3%A2teau_d%27Eau"], [4]),
        (["saint-pierre%2C paris"], [2]),
        (["human-made"], [1, 2]),
    ],
)
def test_a_landmark_is_of_a_category_by_any_of_its_names(tmp_path, categories, expected):
    path = tmp_path / "hierarchical.csv"
    path.write_text(HIERARCHICAL)
    assert filters.allowed_landmarks(str(path), categories).tolist() == expected


def test_the_plain_category_csv_will_do(tmp_path):
    path = tmp_path / "category.csv"
    path.write_text(f"landmark_id,category\n7,{WIKI}Mont_Blanc\n")
    assert filters.allowed_landmarks(str(path), ["mont blanc"]).tolist() == [7]


def test_a_category_of_no_landmark_is_a_slip(tmp_path):
    path = tmp_path / "hierarchical.csv"
    path.write_text(HIERARCHICAL)
    with pytest.raises(UserError, match=r"hierarchical\.csv, found 'churhc'"):
        filters.allowed_landmarks(str(path), ["castle", "churhc"])


# ---- what the source has to have ------------------------------------------------------------


def source(root: pathlib.Path) -> Source:
    return Source(str(root), (), str(root / "train.csv"), None, None)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (FilterOptions(clean_only=True), "--clean_only: found no metadata/train_clean.csv"),
        (FilterOptions(licences=("by",)), "--licences: found no metadata/train_attribution.csv"),
        (FilterOptions(excluded_authors=("Jo",)), "--exclude_author: found no .*attribution"),
        (
            FilterOptions(categories=("x",)),
            "--categories: found no .*hierarchical.csv or .*category.csv",
        ),
    ],
)
def test_a_flag_without_its_file_is_an_error(tmp_path, chosen: FilterOptions, expected: str):
    with pytest.raises(UserError, match=expected):
        with_filters(source(tmp_path), chosen)


def test_files_are_looked_for_where_a_flag_needs_them(tmp_path):
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/train_attribution.csv").write_text(CREDITS)
    (tmp_path / "metadata/train_label_to_category.csv").write_text("landmark_id,category\n1,x\n")
    assert with_filters(source(tmp_path), FilterOptions()) == source(tmp_path)
    found = with_filters(source(tmp_path), FilterOptions(licences=("by",), categories=("x",)))
    assert found.attribution_csv == f"{tmp_path}/metadata/train_attribution.csv"
    assert found.categories_csv == f"{tmp_path}/metadata/train_label_to_category.csv"
    (tmp_path / "metadata/train_label_to_hierarchical.csv").write_text("landmark_id,category\n")
    with pytest.raises(UserError, match=r"train_label_to_hierarchical.csv, found 'x'"):
        with_filters(source(tmp_path), FilterOptions(categories=("x",)))
    (tmp_path / "metadata/train_attribution.csv").write_text("id,author\n")
    with pytest.raises(UserError, match="license not in"):
        with_filters(source(tmp_path), FilterOptions(excluded_authors=("Jo",)))


# ---- flags ----------------------------------------------------------------------------------


def parsed(*argv: str) -> CurateOptions:
    return COMMAND.parse(["--source=x", "--output=y", *argv]).curate


def test_flags_make_filters():
    assert parsed().filters == FilterOptions()
    args = parsed("--licences=/by/, cc0", "--exclude_author=B, b", "--exclude_author=A")
    assert args.filters.licences == ("/by/", "cc0")
    assert args.filters.excluded_authors == ("A", "B, b")
    assert parsed("--licences=cc0,/by/").filters.licences == ("/by/", "cc0")
    args = parsed("--min_side=0", "--max_aspect=2.5", "--min_entropy=0", "--clean_only")
    assert args.filters == FilterOptions(0, 2.5, 0.0, True)


@pytest.mark.parametrize(
    ("radius", "conflict", "leaks", "expected"),
    [
        ("none", "keep_clean", "index,test", (None, "keep_clean", ("test", "index"))),
        ("0", "drop", "none", (0, "drop", ())),
    ],
)
def test_flags_say_what_is_the_same(radius: str, conflict: str, leaks: str, expected: tuple):
    words = [f"--near_duplicate_radius={radius}", f"--on_conflict={conflict}"]
    args = parsed(*words, f"--exclude_leaks_from={leaks}")
    assert (args.near_duplicate_radius, args.on_conflict, args.exclude_leaks_from) == expected
    usual = parsed()
    assert (usual.near_duplicate_radius, usual.on_conflict) == (7, "keep_clean")
    assert usual.exclude_leaks_from == ("test",)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (
            "--near_duplicate_radius=8",
            "at most 7 bits, found 8; a larger radius would join different photos",
        ),
        ("--near_duplicate_radius=-1", "none or 0 to 7"),
        ("--near_duplicate_radius=", "none or 0 to 7"),
        ("--exclude_leaks_from=train", "test, index"),
        ("--exclude_leaks_from=", "test, index"),
        ("--on_conflict=clean", "keep_clean"),
        ("--min_side=-1", "at least 0"),
        ("--max_aspect=0.5", "at least 1"),
        ("--max_aspect=nan", "at least 1"),
        ("--min_entropy=-1", "at least 0"),
    ],
)
def test_values_that_make_no_sense(flag: str, expected: str):
    with pytest.raises(UserError, match=expected):
        parsed(flag)


def test_parameters_come_back_from_json_as_they_went():
    chosen = CurateOptions(exclude_leaks_from=("test", "index"), filters=ALL)
    assert json_record.plain(chosen)["exclude_leaks_from"] == ["test", "index"]
    assert json_record.plain(chosen)["filters"]["licences"] == ["/by/"]
    other = CurateOptions(exclude_leaks_from=("test", "index"))
    assert json_record.plain(chosen) != json_record.plain(other)
    assert json_record.loads(CurateOptions, json_record.dumps(chosen), "done.json") == chosen


def test_parameters_under_an_old_name_are_read():
    text = json_record.dumps(CurateOptions(exclude_leaks_from=())).replace(
        "exclude_leaks_from", "against"
    )
    found = json_record.loads(CurateOptions, text, "done.json")
    assert found == CurateOptions(exclude_leaks_from=())
