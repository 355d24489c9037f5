"""The report: a page whose pictures are there and whose numbers are the decisions'."""

from __future__ import annotations

import html
import io
import json
import pathlib
import re
import shutil

import jinja2
import pandas as pd
import pytest
from PIL import Image

from pipelines.common import schema
from pipelines.common.options.curation import CurateOptions
from pipelines.common.paths import Output, join
from pipelines.common.reasons import Reason, Reject
from pipelines.common.records.curation import Curation
from pipelines.imaging import contact_sheet
from pipelines.report import command as report_command
from pipelines.report import selection
from pipelines.report.page import funnel, rejected, report
from pipelines.storage import filesystem, parquet, staged_photos
from tests.pipelines.conftest import read_tables

REPEATS = (Reason.DUPLICATE, Reason.LABEL_CONFLICT, Reason.IN_TEST)


@pytest.fixture
def output(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(prepared, tmp_path / "out"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[list[contact_sheet.Tile]]]:
    """The groups of tiles of all sheets that are drawn."""
    sheets = []
    draw = contact_sheet.draw
    monkeypatch.setattr(contact_sheet, "draw", lambda groups: sheets.append(groups) or draw(groups))
    return sheets


def page(output: pathlib.Path) -> str:
    return pathlib.Path(report(Output(str(output)))).read_text()


def funnel_rows(text: str) -> dict[str, list[str]]:
    rows = re.findall(r"<tr[^>]*><td>([\w ]+)</td>((?:<td class=\"n\">[\d,]*</td>)+)", text)
    return {what: re.findall(r">([\d,]*)</td>", cells) for what, cells in rows}


# ---- the page ---------------------------------------------------------------------------------


def test_numbers_are_those_of_the_decisions(output: pathlib.Path):
    rows = funnel_rows(page(output))
    decisions = read_tables(output / "decisions")
    decisions["split"] = decisions["split"].replace("validation", "train")
    decisions["reason"] = decisions["reason"].fillna("kept").str.replace("_", " ")
    for reason, images in decisions.groupby("reason"):
        expected = [(images["split"] == split).sum() for split in ("train", "test")]
        assert rows[reason] == [str(n) if n else "" for n in expected], reason
    assert rows["seen"] == [str((decisions["split"] == s).sum()) for s in ("train", "test")]


def test_pictures_are_there_and_described(output: pathlib.Path):
    pictures = dict(re.findall(r'<img src="([^"]+)" alt="([^"]+)"', page(output)))
    sampled = {f"{reason}-sampled.jpg" for reason in REPEATS}
    assert {"classes.png", "kept-alone.jpg", *sampled} <= set(pictures)
    assert len(set(pictures.values())) == len(pictures)
    for picture in pictures:
        with Image.open(output / "report" / picture) as image:
            image.load()
            assert image.width > 300


def test_each_copy_is_beside_what_it_repeats(output: pathlib.Path, drawn):
    page(output)
    groups = {tuple(t.lines[0] for t in group): group for groups in drawn for group in groups}
    pairs = {(ids[0], other) for ids in groups for other in ids[1:]}
    decisions = read_tables(output / "decisions").set_index("id")
    copies = decisions[decisions["reason"].isin(REPEATS)]
    assert len(copies) >= 3
    for name, row in copies.iterrows():
        first = row["duplicate_of"]
        assert (first, name) in pairs or (name, first) in pairs
    for ids, group in groups.items():
        for name, tile in zip(ids, group, strict=True):
            row = decisions.loc[name]
            owner = "test photo" if row["split"] == "test" else f"landmark {row['landmark_id']:.0f}"
            assert tile.lines[1] == owner
            assert Image.open(io.BytesIO(tile.jpeg)).format == "JPEG"
    (leak,) = [group for group in groups.values() if group[0].lines[1] == "test photo"][:1]
    assert leak[1].lines[2].startswith(("in test, 0 / 0", "near test, "))


def test_what_has_no_pixels_is_listed(output: pathlib.Path):
    path = sorted((output / "rejects").glob("*.jsonl"))[0]
    reject = Reject("", "train-images_000", "download", Reason.BAD_NAME, "<b>.jpg")
    with path.open("a") as file:
        file.write(json.dumps(vars(reject)) + "\n")
    text = page(output)
    assert "<b>.jpg" not in text
    listed = html.unescape(text[text.index('id="rejected"') :])
    rejects = rejected(filesystem.match(str(output / "rejects" / "*")))
    assert {row["reason"] for row in rejects} > {"bad_name", "undecodable"}
    assert all(row["id"] in listed and row["detail"] in listed for row in rejects)


def test_the_chosen_threshold_is_marked_and_scores_are_shown(output: pathlib.Path, tmp_path):
    done = json.loads((output / "decisions" / "done.json").read_text())
    done["parameters"]["min_images_per_class"] = 3
    done["what_if"] = [
        {"min_images_per_class": n, "images": 9000 - n, "classes": 90 - n} for n in (2, 3, 5)
    ]
    done.pop("pairs", None)
    filesystem.write_record(str(output / "decisions" / "done.json"), done)
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"all": {"gap": 0.61234, "queries": 40}}))
    report_command.main([f"--output={output}", f"--metrics={metrics}"])
    text = (output / "report" / "index.html").read_text()
    (chosen,) = re.findall(r'<tr class="chosen">(.*)', text)
    assert "8,997" in chosen and "87" in chosen
    assert "0.6123" in text


def test_a_page_of_test_images_alone(output: pathlib.Path):
    for path in (output / "decisions").glob("*.parquet"):
        decisions = parquet.read(str(path), schema.DECISIONS)
        parquet.write(str(path), decisions[decisions["split"] == "test"], schema.DECISIONS)
    text = page(output)
    assert 'id="funnel"' in text and "<img" not in text


@pytest.mark.parametrize(
    ("counts", "landmark_id", "says"),
    [
        ({}, None, "There is no image to report on"),
        ({"images": 0}, None, "There is no image to report on"),
        ({"images": 2, "dropped/train/no_landmark": 2}, None, "No image is kept"),
        ({"images": 2, "dropped/train/rare_class": 2}, 7, "No image is kept"),
    ],
)
def test_a_page_of_nothing_that_is_kept_says_so(tmp_path, counts, landmark_id, says: str):
    output = Output(str(tmp_path))
    for key in counts.keys() - {"images"}:
        row = {"split": "train", "reason": key.split("/")[2], "landmark_id": landmark_id}
        rows = [dict.fromkeys(schema.DECISIONS) | row | {"id": name(n)} for n in range(2)]
        path = join(output.decisions, "decisions-00000-of-00001.parquet")
        parquet.write(path, parquet.from_rows(rows, schema.DECISIONS), schema.DECISIONS)
    filesystem.write_record(
        output.decisions_done, Curation(counts, {}, 0, 0, [], CurateOptions(), "", [])
    )
    assert report_command.main([f"--output={tmp_path}"]) == 0
    text = (tmp_path / "report" / "index.html").read_text()
    assert says in text and f"{counts.get('images', 0)} images seen, 0 kept;" in text
    assert ('id="funnel"' in text) == bool(counts.get("images"))


def test_the_same_decisions_give_the_same_page(output: pathlib.Path):
    pages = []
    for _ in range(2):
        page(output)
        pages.append({p.name: p.read_bytes() for p in (output / "report").iterdir()})
    assert pages[0] == pages[1]


def test_funnel_has_a_column_for_each_split():
    counts = {"images": 11, "dropped/index/reference": 3, "dropped/train/in_index": 2}
    counts |= {"kept/train": 4, "kept/validation": 1, "kept/test": 1, "bytes/train": 99}
    splits, steps = funnel(counts)
    assert splits == ["train", "index", "test"]
    assert {step.what: step.images for step in steps} == {
        "seen": [7, 3, 1],
        "reference": [0, 3, 0],
        "in_index": [2, 0, 0],
        "kept": [5, 0, 1],
        "validation": [1, 0, 0],
    }
    assert steps[2].left == pytest.approx(600 / 11) and steps[2].gone == pytest.approx(200 / 11)


def test_of_an_id_that_came_twice_both_photos_are_known(tmp_path: pathlib.Path):
    for offset in (7, 5):
        row = dict.fromkeys(schema.FACTS) | {"id": name(1), "unit": "a", "offset": offset}
        facts = parquet.from_rows([row, row | {"offset": None}], schema.FACTS)
        parquet.write(str(tmp_path / f"{offset}.parquet"), facts, schema.FACTS)
    known = staged_photos.look_up({name(1)}, [], filesystem.match(str(tmp_path / "*")))
    assert [row["offset"] for row in known.facts[name(1)]] == [5, 7]


def test_every_reason_has_a_meaning():
    loader = jinja2.PackageLoader("pipelines.report")
    strict = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
    template = strict.get_template("reasons.html")
    for reason in Reason:
        assert len(template.module.meaning(reason)) > 10


# ---- what is chosen ---------------------------------------------------------------------------


def name(number: int) -> str:
    return f"{number:016x}"


def digest(tmp_path: pathlib.Path, rows: list[dict]) -> selection.DecisionDigest:
    """Of decisions in two files, as curate writes them."""
    empty = dict.fromkeys(schema.DECISIONS)
    images = parquet.from_rows([empty | {"split": "train"} | row for row in rows], schema.DECISIONS)
    paths = [str(tmp_path / f"{part}.parquet") for part in range(2)]
    for part, path in enumerate(paths):
        parquet.write(path, images[part::2], schema.DECISIONS)
    return selection.digest(paths)


def repeat(number: int, first: int, reason: Reason) -> dict:
    return {"id": name(number), "duplicate_of": name(first), "reason": reason, "landmark_id": 1}


def test_largest_groups_come_first_and_are_cut(tmp_path: pathlib.Path):
    rows = [repeat(1000 * g + i, g, Reason.NEAR_DUPLICATE) for g in range(1, 41) for i in range(g)]
    largest, sampled = selection.sheets(digest(tmp_path, rows))
    assert (largest.reason, largest.which) == (Reason.NEAR_DUPLICATE, "largest")
    assert [group.ids[0] for group in largest.groups] == [name(g) for g in range(40, 34, -1)]
    for group, size in zip(largest.groups, range(40, 34, -1), strict=True):
        assert (
            len(group.ids) == 2 * contact_sheet.COLUMNS - 1
        )  # and one cell that says how many more
        assert len(group.ids) - 1 + group.more == size
    assert len(sampled.groups) == selection.SAMPLED
    assert not {g.ids[0] for g in sampled.groups} & {g.ids[0] for g in largest.groups}
    assert all(len(g.ids) + bool(g.more) <= contact_sheet.COLUMNS for g in sampled.groups)


def test_a_conflict_that_drops_all_is_one_group(tmp_path: pathlib.Path):
    conflict = Reason.LABEL_CONFLICT
    rows = [repeat(1, 2, conflict), repeat(2, 1, conflict), repeat(3, 1, conflict)]
    rows += [repeat(8, 9, conflict), repeat(9, 8, conflict)]
    largest, sampled = selection.sheets(digest(tmp_path, rows))
    assert largest.groups == (selection.Group((name(1), name(2), name(3))),)
    assert sampled.groups == (selection.Group((name(8), name(9))),)


def test_a_group_shows_all_that_went_for_its_first(tmp_path: pathlib.Path):
    rows = [repeat(2, 1, Reason.NEAR_TEST), repeat(3, 1, Reason.IN_TEST)]
    in_test, near_test = selection.sheets(digest(tmp_path, rows))
    assert in_test.groups == (selection.Group((name(1), name(3), name(2))),)
    assert near_test.groups == (selection.Group((name(1), name(2), name(3))),)


def test_sample_does_not_depend_on_files_or_order():
    rows = pd.DataFrame({"id": [name(n) for n in range(500)], "reason": ["blank", "kept"] * 250})
    whole = selection.sample(rows, 10)
    parts = pd.concat([selection.sample(rows[n::3], 10) for n in (2, 0, 1)])
    assert list(selection.sample(parts, 10)["id"]) == list(whole["id"])
    assert whole["reason"].value_counts().to_dict() == {"blank": 10, "kept": 10}


def test_landmarks_are_counted_over_files(tmp_path: pathlib.Path):
    rows = [{"id": name(n), "landmark_id": n % 3, "keep": True} for n in range(9)]
    rows += [repeat(20, 1, Reason.DUPLICATE), {"id": name(30), "split": "test", "keep": True}]
    found = digest(tmp_path, rows)
    assert found.before.to_dict() == {0: 3, 1: 4, 2: 3}
    assert found.after.to_dict() == {0: 3, 1: 3, 2: 3}


# ---- how it is drawn --------------------------------------------------------------------------


def test_a_group_that_does_not_fit_begins_a_row():
    def colours(groups: list[int]) -> list[str]:
        """Of the panel's place in the middle of each cell's top: # panel, . none."""
        tiles = [[contact_sheet.Tile(None, ())] * size for size in groups]
        image = Image.open(io.BytesIO(contact_sheet.draw(tiles, columns=3))).convert("L")
        return [
            "".join(
                "#" if image.getpixel((x + contact_sheet.CELL // 2, y + 20)) < 250 else "."
                for x in range(0, image.width, contact_sheet.CELL)
            )
            for y in range(0, image.height, contact_sheet.HEIGHT)
        ]

    assert colours([1, 2]) == ["###"]
    assert colours([2, 2]) == ["##.", "##."]
    assert colours([4, 2]) == ["###", "###"]
    assert colours([2, 5]) == ["##.", "###", "##."]
