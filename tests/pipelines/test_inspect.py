"""gld2 inspect: what it shows, and each kind of fault that --verify finds."""

from __future__ import annotations

import io
import json
import pathlib
import shutil
from collections.abc import Callable

import pytest
from PIL import Image

from pipelines import example, inspect, schema, tfrecord
from pipelines.schema import UserError

VERSION = "dataset/gld2/1.0.0"
TRAIN = "gld2-train.tfrecord-00000-of-00001"


@pytest.fixture
def folder(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(prepared / VERSION, tmp_path / "1.0.0"))


def records(path: pathlib.Path) -> list[bytes]:
    with path.open("rb") as file:
        return list(tfrecord.read(file))


def write(path: pathlib.Path, found: list[bytes]) -> None:
    path.write_bytes(b"".join(map(tfrecord.frame, found)))


def changed(record: bytes, **features: object) -> bytes:
    keys = {"label": schema.LABEL, "id": schema.IMAGE_ID, "jpeg": schema.ENCODED}
    new = {keys[name]: value for name, value in features.items()}
    return example.encode(example.decode(record) | new)  # type: ignore[arg-type]


def grey(record: bytes) -> bytes:
    found = example.decode(record)
    out = io.BytesIO()
    Image.new("L", (found[schema.WIDTH], found[schema.HEIGHT])).save(out, "JPEG")  # type: ignore[arg-type]
    return changed(record, jpeg=out.getvalue())


# ---- faults: what is done to the folder -----------------------------------------------------


def payload(folder: pathlib.Path) -> None:
    data = bytearray((folder / TRAIN).read_bytes())
    data[tfrecord.HEADER.size + 40] ^= 1
    (folder / TRAIN).write_bytes(data)


def length(folder: pathlib.Path) -> None:
    data = bytearray((folder / TRAIN).read_bytes())
    data[3] ^= 1
    (folder / TRAIN).write_bytes(data)


def cut(folder: pathlib.Path) -> None:
    (folder / TRAIN).write_bytes((folder / TRAIN).read_bytes()[:-9])


def first(**features: object) -> Callable[[pathlib.Path], None]:
    def change(folder: pathlib.Path) -> None:
        head, *rest = records(folder / TRAIN)
        write(folder / TRAIN, [changed(head, **features), *rest])

    return change


def twice(folder: pathlib.Path) -> None:
    head, *rest = records(folder / TRAIN)
    write(folder / TRAIN, [head, head, *rest])


def no_colour(folder: pathlib.Path) -> None:
    head, *rest = records(folder / TRAIN)
    write(folder / TRAIN, [grey(head), *rest])


def half(folder: pathlib.Path) -> None:
    head, *rest = records(folder / TRAIN)
    jpeg = example.decode(head)[schema.ENCODED]
    write(folder / TRAIN, [changed(head, jpeg=jpeg[: len(jpeg) // 2]), *rest])  # type: ignore[arg-type,index]


def garbage(folder: pathlib.Path) -> None:
    write(folder / TRAIN, [b"\xff" * 50, *records(folder / TRAIN)[1:]])


def labelled_test(folder: pathlib.Path) -> None:
    path = folder / TRAIN.replace("train", "test")
    head, *rest = records(path)
    write(path, [changed(head, label=1), *rest])


def missing(folder: pathlib.Path) -> None:
    (folder / TRAIN).rename(folder / "gld2-train.tfrecord-00001-of-00002")


def foreign(folder: pathlib.Path) -> None:
    (folder / "notes.txt").write_text("")


def no_info(folder: pathlib.Path) -> None:
    (folder / "dataset_info.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (payload, f"{TRAIN} record 0: crc: the record does not fit its CRC"),
        (length, f"{TRAIN} record 0: frame: a frame's length does not fit its CRC"),
        (cut, "crc: expected a frame of"),
        (first(label=9999), f"{TRAIN} record 0: label: expected 0 to 11, found 9999"),
        (first(label=0, id=b"x"), "id: expected 16 hex, found 'x'"),
        (first(jpeg=b"no photo"), f"{TRAIN} record 0: photo: cannot be decoded"),
        (half, f"{TRAIN} record 0: photo: cannot be decoded"),
        (no_colour, "photo: expected RGB, found L"),
        (garbage, "example: expected a tf.train.Example"),
        (twice, "repeated: is in more than one record"),
        (labelled_test, "label: expected none on test, found 1"),
        (missing, "gld2-train.tfrecord-00000-of-00002: file: is missing"),
        (foreign, "notes.txt: file: is not of a dataset"),
        (no_info, "dataset_info.json: file: is missing"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_fault_is_named(folder: pathlib.Path, capsys, spoil, expected: str):
    spoil(folder)
    assert inspect.main([str(folder), "--verify", "--workers=1"]) == 1
    out = capsys.readouterr().out
    assert expected in out
    assert "faults (" in out


def test_another_label_is_a_wrong_landmark(folder: pathlib.Path, capsys):
    label = example.decode(records(folder / TRAIN)[0])[schema.LABEL]
    first(label=1 if label == 0 else 0)(folder)
    assert inspect.main([str(folder), "--verify", "--workers=1"]) == 1
    assert "label: expected landmark" in capsys.readouterr().out


def test_the_rest_is_still_verified(folder: pathlib.Path, capsys):
    """A record that does not fit its CRC hides none of those behind it."""
    whole = len(records(folder / TRAIN))
    payload(folder)
    foreign(folder)
    inspect.main([str(folder), "--verify", "--workers=1"])
    out = capsys.readouterr().out
    others = sum(len(records(path)) for path in folder.glob("gld2-[vt]*") if path.name != TRAIN)
    assert f"{whole + others} records verified" in out
    assert "notes.txt" in out


def test_a_whole_dataset_is_clean_and_is_found_from_above(prepared: pathlib.Path, capsys):
    assert inspect.main([str(prepared / "dataset"), "--verify", "--workers=2"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_a_look_is_the_same_for_the_same_seed(prepared: pathlib.Path, tmp_path, capsys):
    before = sorted(path.name for path in (prepared / VERSION).iterdir())
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        flags = [f"--output={tmp_path / name}", f"--seed={seed}"]
        assert inspect.main([str(prepared / "dataset"), *flags]) == 0
    one, same, other = (
        (tmp_path / n / "photos.jpg").read_bytes() for n in ("one", "same", "other")
    )
    assert one == same != other
    assert Image.open(tmp_path / "one/classes.png").width > 500
    assert sorted(path.name for path in (prepared / VERSION).iterdir()) == before
    stats = json.loads((prepared / VERSION / "stats.json").read_text())
    assert (
        f"train: {stats['splits']['train']['images']} images in 1 shards" in capsys.readouterr().out
    )


def test_the_newest_version_is_taken(tmp_path: pathlib.Path):
    for version in ("1.9.0", "1.10.0"):
        (tmp_path / "gld2" / version).mkdir(parents=True)
        (tmp_path / "gld2" / version / "stats.json").write_text("{}")
    assert inspect.find(str(tmp_path)).endswith("1.10.0")
    with pytest.raises(UserError, match="run gld2 shard"):
        inspect.find(str(tmp_path / "nowhere"))
