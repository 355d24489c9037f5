"""The card says how a dataset was made, and its snippets run."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import sys
import types

import numpy as np
import pytest

from pipelines.common.records import json_record
from pipelines.common.records.curation import Curation
from pipelines.common.records.stats import Stats
from pipelines.shard import dataset_card
from pipelines.storage import filesystem

VERSION = "dataset/gld2/1.0.0"


@pytest.fixture(scope="module")
def stats(prepared: pathlib.Path) -> Stats:
    return filesystem.read_record(Stats, str(prepared / VERSION / "stats.json"))


@pytest.fixture(scope="module")
def done(prepared: pathlib.Path) -> Curation:
    return filesystem.read_record(Curation, str(prepared / "decisions/done.json"))


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch or, as gld2 does not need it, as much of it as the snippet calls."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        data = types.SimpleNamespace(
            IterableDataset=object,
            get_worker_info=lambda: None,
            DataLoader=lambda dataset, **_: ((a[None], np.array([b])) for a, b in dataset),
        )
        stub = types.SimpleNamespace(
            utils=types.SimpleNamespace(data=data), from_numpy=lambda array: array
        )
        monkeypatch.setitem(sys.modules, "torch", stub)  # type: ignore[arg-type]


def snippet(page: str, name: str) -> str:
    """The Python that follows a paragraph which begins with this name."""
    (_, after) = re.split(rf"^{re.escape(name)}\b", page, flags=re.MULTILINE)
    return after.split("```python\n", 1)[1].split("```", 1)[0]


def run(page: str, name: str, folder: pathlib.Path) -> list:
    scope = {"FOLDER": str(folder)}
    exec(snippet(page, name), scope)
    return list(scope["dataset"])  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["tf.data", "TFDS"])
def test_a_tensorflow_snippet_loads_all_of_train(prepared, stats, name: str):
    page = (prepared / VERSION / "README.md").read_text()
    photos = run(page, name, prepared / VERSION)
    assert len(photos) == stats.splits["train"].images
    assert {int(label) for _, label in photos} <= set(range(stats.classes))
    assert {image.shape[-1] for image, _ in photos} == {3}


def test_the_pytorch_snippet_loads_all_of_train(prepared, stats, torch):
    page = (prepared / VERSION / "README.md").read_text()
    batches = run(page, "PyTorch", prepared / VERSION)
    assert sum(len(labels) for _, labels in batches) == stats.splits["train"].images
    pixels = np.concatenate([np.asarray(images) for images, _ in batches])
    assert pixels.shape[1:] == (3, 224, 224)
    np.testing.assert_allclose(pixels.mean((0, 2, 3)), 0, atol=0.3)
    np.testing.assert_allclose(pixels.std((0, 2, 3)), 1, atol=0.3)


@pytest.mark.parametrize("name", ["tf.data", "TFDS"])
def test_snippets_of_a_dataset_of_test_photos_alone(prepared, stats, done, name: str):
    alone = dataclasses.replace(stats, splits={"test": stats.splits["test"]})
    photos = run(dataset_card.render(alone, done), name, prepared / VERSION)
    assert len(photos) == stats.splits["test"].images
    assert {photo.shape[-1] for photo in photos} == {3}


def test_it_says_how_the_dataset_was_made(prepared, stats, done):
    page = (prepared / VERSION / "README.md").read_text()
    funnel = done.funnel
    kept = sum(split.images for split in stats.splits.values())
    assert f"Of {funnel['images']} images in the source, {kept} are here" in page
    dropped = {k.split("/", 1)[1]: n for k, n in funnel.items() if k.startswith("dropped/")}
    rows = re.findall(r"^\| (\w+) \| ([a-z]\w+) \| (\d+) \|$", page, re.MULTILINE)
    assert {f"{split}/{reason}": int(images) for split, reason, images in rows} == dropped
    told = json.loads(page.split("```json\n")[1].split("```")[0])
    assert told["download"] == json_record.plain(stats.photos)
    assert told["curate"] == json_record.plain(done.parameters)
    assert told["shard"] == {"version": "1.0.0", "seed": 0, "with_attribution": False}


@pytest.mark.parametrize("attribution", [True, False])
def test_it_says_whether_authors_are_named(stats, done, attribution: bool):
    page = dataset_card.render(dataclasses.replace(stats, attribution=attribution), done)
    assert ("Train and validation records name url" in page) == attribution
    assert ("gld2 shard --with_attribution" in page) != attribution
