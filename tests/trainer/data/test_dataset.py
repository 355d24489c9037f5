import shutil

import pytest

from pipelines.common.errors import UserError
from tests.trainer.conftest import photos, write_split, write_version
from trainer.data import dataset


def test_opens_a_version_folder(version_folder):
    version = dataset.find(str(version_folder))
    assert version.images == {"train": 22, "validation": 7}
    assert [label.landmark_id for label in version.labels] == [1000, 1001, 1002]
    assert len(version.shards("train")) == 2


def test_takes_the_highest_version_by_number(tmp_path):
    for name in ("1.9.0", "1.10.0", "1.11.0.incomplete", "notes"):
        write_version(tmp_path / "gld2" / name, photos(0, 3), [])
    found = dataset.find(f"{tmp_path}/")
    assert found.folder == f"{tmp_path}/gld2/1.10.0"
    assert dataset.find(f"{tmp_path}/gld2") == found
    assert not found.has_validation


def test_digest_is_of_the_content(version_folder, tmp_path):
    shutil.copytree(version_folder, tmp_path / "copy")
    found = dataset.find(str(tmp_path / "copy"))
    assert found.digest == dataset.find(str(version_folder)).digest


def _without(name):
    def spoil(folder):
        next(folder.glob(name)).unlink()

    return spoil


def _cut(name):
    def spoil(folder):
        path = next(folder.glob(name))
        path.write_bytes(path.read_bytes()[:-100])

    return spoil


def _empty(name):
    return lambda folder: next(folder.glob(name)).write_bytes(b"")


def _with(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "no such folder"),
        (_without("labels.csv"), r"expected labels\.csv"),
        (_without("stats.json"), r"stats\.json: cannot be read"),
        (_with("stats.json", "[]"), r"stats\.json: expected splits"),
        (_with("labels.csv", "a,b\n"), "expected the header"),
        (_with("labels.csv", "label,landmark_id,images\n0,7,9\n"), "two classes or more"),
        (_without("*train*-00001-of-*"), "expected 2 train shards, found 1"),
        (_cut("*train*-00001-of-*"), r"train\.tfrecord-00001-of-00002: expected 11 photos, found"),
        (_empty("*validation*"), r"validation\.tfrecord-00000-of-00001: expected 7 photos"),
        (_with("stats.json", '{"splits": {"train": {"images": 22}}, "classes": 4}'), "4 classes"),
    ],
)
def test_a_spoiled_folder_is_one_clear_error(version_folder, tmp_path, spoil, message):
    folder = tmp_path / "copy"
    shutil.copytree(version_folder, folder)
    spoil(folder)
    with pytest.raises(UserError, match=message):
        dataset.find(str(folder))


def test_no_photos_to_train_on(tmp_path):
    write_version(tmp_path / "v", [], photos(0, 3))
    write_split(tmp_path / "v", "train", [], 1)
    with pytest.raises(UserError, match=r"stats\.json: no photos in train"):
        dataset.find(str(tmp_path / "v"))
