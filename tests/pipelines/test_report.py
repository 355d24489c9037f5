"""The report: a page whose pictures are there and whose numbers are the decisions'."""

from __future__ import annotations

import json
import pathlib
import re
import shutil

from PIL import Image

from pipelines import report
from tests.pipelines.conftest import read_tables


def test_page_shows_the_funnel_and_what_was_dropped(prepared: pathlib.Path, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"all": {"gap": 0.61234, "queries": 40}}))
    report.main([f"--output={output}", f"--metrics={metrics}"])
    page = (output / "report" / "index.html").read_text()
    decisions = read_tables(output / "decisions")
    for reason, rows in decisions.groupby(["split", "reason"]):
        split, why = reason
        name = "train" if split == "validation" else split
        assert re.search(rf"{name}: {why}</td><td class=\"n\">{len(rows)}<", page), reason
    assert "0.6123" in page
    pictures = re.findall(r'src="([^"]+)"', page)
    assert {"classes.png", "kept.jpg", "duplicate.jpg", "in_test.jpg"} <= set(pictures)
    for picture in pictures:
        with Image.open(output / "report" / picture) as image:
            image.load()
            assert image.width > 300


def test_the_same_decisions_give_the_same_page(prepared: pathlib.Path, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    pages = []
    for _ in range(2):
        report.main([f"--output={output}"])
        pages.append({p.name: p.read_bytes() for p in (output / "report").iterdir()})
    assert pages[0] == pages[1]
