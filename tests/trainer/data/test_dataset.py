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


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("labels.csv", None, r"expected labels\.csv"),
        ("stats.json", None, r"stats\.json: cannot be read"),
        ("stats.json", b"[]", r"stats\.json: expected splits"),
        ("labels.csv", b"a,b\n", "expected the header"),
        ("labels.csv", b"label,landmark_id,images\n0,7,9\n", "two classes or more"),
        ("*train*-00001-of-*", None, "expected 2 train shards, found 1"),
        ("*train*-00001-of-*", -100, r"train\.tfrecord-00001-of-00002: expected 11 photos, found"),
        ("*validation*", b"", r"validation\.tfrecord-00000-of-00001: expected 7 photos"),
        ("stats.json", b'{"splits": {"train": {"images": 22}}, "classes": 4}', "4 classes"),
    ],
)
def test_a_spoiled_folder_is_one_clear_error(version_folder, tmp_path, name, change, message):
    """A file is missing, holds something else, or is cut."""
    shutil.copytree(version_folder, tmp_path / "copy")
    (path,) = (tmp_path / "copy").glob(name)
    if change is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:change] if isinstance(change, int) else change)
    with pytest.raises(UserError, match=message):
        dataset.find(str(tmp_path / "copy"))


def test_no_photos_to_train_on(tmp_path):
    write_version(tmp_path / "v", [], photos(0, 3))
    write_split(tmp_path / "v", "train", [], 1)
    with pytest.raises(UserError, match=r"stats\.json: no photos in train"):
        dataset.find(str(tmp_path / "v"))
