"""Records: what goes out as JSON comes back the same, and what is no record is told by its key."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common.errors import UserError
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.records import json_record
from pipelines.common.records.stats import Split, Stats
from pipelines.storage import filesystem


class Colour(enum.StrEnum):
    RED = "red"
    GREEN = "green"


@dataclasses.dataclass(frozen=True)
class Inner:
    number: int
    share: float | None


@dataclasses.dataclass(frozen=True)
class Outer:
    REMEDY: ClassVar[str] = "ask for another"

    text: str
    flag: bool
    colour: Colour
    inner: Inner
    by_name: dict[str, Inner]
    numbers: tuple[int, ...]
    rows: list[list[Inner]]
    anything: Any
    shape: Inner | None = None
    left_out: int | None = json_record.optional()


INTEGERS = st.integers(-(10**30), 10**30)
INNERS = st.builds(Inner, INTEGERS, st.none() | st.floats(-1e30, 1e30))
JSON = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())
OUTERS = st.builds(
    Outer,
    text=st.text(),
    flag=st.booleans(),
    colour=st.sampled_from(Colour),
    inner=INNERS,
    by_name=st.dictionaries(st.text(), INNERS),
    numbers=st.lists(INTEGERS).map(tuple),
    rows=st.lists(st.lists(INNERS)),
    anything=JSON,
    shape=st.none() | INNERS,
    left_out=st.none() | st.integers(),
)
ONE = Outer("a", True, Colour.RED, Inner(1, 0.5), {"x": Inner(2, None)}, (3, 4), [[Inner(5, 1)]], 0)


# ---- out and back ---------------------------------------------------------------------------


@given(OUTERS, st.booleans())
def test_a_record_comes_back_as_it_went(record: Outer, sort_keys: bool):
    text = json_record.dumps(record, sort_keys)
    assert json_record.loads(Outer, text, "x.json") == record
    assert json_record.dumps(json_record.loads(Outer, text, "x.json"), sort_keys) == text


@given(OUTERS)
def test_the_text_is_that_of_json_and_asdict(record: Outer):
    values = dataclasses.asdict(record)
    if record.left_out is None:
        del values["left_out"]
    assert json_record.dumps(record) == json.dumps(values, indent=2, sort_keys=True) + "\n"
    assert json_record.dumps(record, sort_keys=False) == json.dumps(values, indent=2) + "\n"
    assert json_record.plain(record) == json.loads(json.dumps(values))


def test_keys_of_plain_are_sorted_at_every_depth():
    found = json_record.plain(
        Stats(NormalizationConfig(), {"b": Split(1, 1, 1), "a": Split(1, 1, 1)}, "1", 0, "")
    )
    assert list(found) == sorted(found)
    assert list(found["photos"]) == ["image_size", "max_pixels", "quality"]
    assert list(found["splits"]) == ["a", "b"]


def test_kinds_come_back_as_hinted():
    found = json_record.loads(Outer, json_record.dumps(ONE), "x.json")
    assert isinstance(found.colour, Colour)
    assert isinstance(found.numbers, tuple)
    assert isinstance(found.by_name["x"], Inner)
    # A whole number stays one where a number is hinted: it is written again as it was.
    assert isinstance(found.rows[0][0].share, int)


def test_lists_dicts_and_texts_are_records_too():
    assert json_record.loads(tuple[str, ...], '["a", "b"]', "x.json") == ("a", "b")
    assert json_record.loads(str, '"a"', "x.json") == "a"
    found = json_record.loads(dict[str, Inner], '{"x": {"number": 1, "share": null}}', "x.json")
    assert found == {"x": Inner(1, None)}
    assert (
        json_record.dumps(found) == json.dumps({"x": {"number": 1, "share": None}}, indent=2) + "\n"
    )


def test_unknown_keys_are_passed_over_and_defaults_stand_for_missing_ones():
    values = json_record.plain(ONE) | {"newer": {"x": 1}}
    del values["shape"]
    values["inner"]["newer"] = 2
    assert json_record.loads(Outer, json.dumps(values), "x.json") == ONE


# ---- what is no record ----------------------------------------------------------------------


def without(*keys: str) -> dict[str, Any]:
    return {name: value for name, value in json_record.plain(ONE).items() if name not in keys}


def changed(**values: Any) -> dict[str, Any]:
    return json_record.plain(ONE) | values


def inner(number: Any = 1, share: Any = 1) -> dict[str, Any]:
    return changed(inner={"number": number, "share": share})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (without("text"), "expected `text`, a string, found no such key"),
        (without("flag"), "expected `flag`, true or false, found no such key"),
        (without("colour"), "expected `colour`, one of red, green, found no such key"),
        (without("numbers"), "expected `numbers`, a list, found no such key"),
        (without("by_name"), "expected `by_name`, an object, found no such key"),
        (without("anything"), "expected `anything`, any value, found no such key"),
        (
            changed(inner={"number": 1}),
            "expected `inner.share`, a number or null, found no such key",
        ),
        (changed(text=3), "`text`: expected a string, found 3"),
        (changed(text=None), "`text`: expected a string, found null"),
        (changed(text="\ud800"), r'`text`: expected a string, found "\ud800"'),
        *(
            (
                inner(share=share),
                f"`inner.share`: expected a number, {found}",
            )
            for share, found in (
                *((math.inf, "found Infinity"), (math.nan, "found NaN"), (-1e31, "found -1e+31")),
                (10**400, "found 1000"),
            )
        ),
        (changed(flag=1), "`flag`: expected true or false, found 1"),
        (changed(colour="blue"), '`colour`: expected one of red, green, found "blue"'),
        (changed(colour=[]), "`colour`: expected one of red, green, found []"),
        (changed(inner=3), "`inner`: expected number, share in an object, found 3"),
        (inner(True), "`inner.number`: expected an integer, found true"),
        (inner(1.0), "`inner.number`: expected an integer, found 1.0"),
        (inner(share="1"), '`inner.share`: expected a number, found "1"'),
        (inner(share=False), "`inner.share`: expected a number, found false"),
        (changed(by_name=[]), "`by_name`: expected an object, found []"),
        (changed(by_name={"x": []}), "`by_name.x`: expected number, share in an object, found []"),
        (changed(numbers={}), "`numbers`: expected a list, found {}"),
        (changed(numbers=[1, "2"]), '`numbers[1]`: expected an integer, found "2"'),
        (changed(rows=[[], [3]]), "`rows[1][0]`: expected number, share in an object, found 3"),
        (changed(shape=[]), "`shape`: expected number, share in an object, found []"),
        (changed(text=["a" * 99]), f'`text`: expected a string, found ["{"a" * 78} ...'),
        ([], "expected text, flag, colour, inner, by_name, numbers, rows, anything in an object,"),
        (None, "in an object, found null"),
    ],
)
def test_what_does_not_fit_is_told_with_file_key_and_remedy(values: Any, expected: str):
    with pytest.raises(UserError) as error:
        json_record.loads(Outer, json.dumps(values), "out/x.json")
    said = str(error.value)
    assert said.startswith("out/x.json: ")
    assert expected in said
    assert said.endswith("; ask for another")


@pytest.mark.parametrize("text", ["", "{", '{"text": ', "\x00", b"\xff\xfe\xff", "{} {}"])
def test_what_is_no_json_is_told(text: str | bytes):
    with pytest.raises(UserError, match=r"^x\.json: expected JSON, found .*; ask for another$"):
        json_record.loads(Outer, text, "x.json")


@given(st.recursive(JSON, lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)))
def test_no_json_whatever_it_is_gives_another_error(value: Any):
    with pytest.raises(UserError, match=r"^x\.json: expected .*; ask for another$"):
        json_record.loads(Outer, json.dumps(value), "x.json")


def test_what_a_dataclass_refuses_is_told_with_its_key():
    values = json_record.plain(Stats(NormalizationConfig(), {}, "1.0.0", 0, ""))
    values["photos"]["quality"] = 99
    with pytest.raises(UserError, match=r"^x\.json: `photos`: --quality: .* found 99; remove"):
        json_record.loads(Stats, json.dumps(values), "x.json")
    with pytest.raises(UserError, match=r"^x\.json: --quality: .* found 99; remove"):
        json_record.loads(NormalizationConfig, '{"quality": 99}', "x.json")


@pytest.mark.parametrize(
    ("kind", "remedy", "expected"),
    [
        (Outer, "", "ask for another"),
        (Outer, "wait", "wait"),
        (Inner, "", "remove it and run again"),
        (dict[str, Inner], "wait", "wait"),
    ],
)
def test_the_remedy_is_the_readers_or_the_kinds_or_the_usual_one(kind, remedy, expected):
    with pytest.raises(UserError, match=f"; {expected}$"):
        json_record.loads(kind, "3", "x.json", remedy)


# ---- in files -------------------------------------------------------------------------------


def test_a_file_that_is_no_record_is_named(tmp_path):
    path = f"{tmp_path}/stats.json"
    with pytest.raises(UserError, match=r"stats\.json: cannot be read"):
        filesystem.read_record(Stats, path)
    filesystem.write(path, "{}")
    with pytest.raises(UserError, match=r"stats\.json: expected `photos`, an object, found no"):
        filesystem.read_record(Stats, path)
