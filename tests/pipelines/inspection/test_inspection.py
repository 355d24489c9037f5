"""gld2 inspect: what it shows, and each kind of fault that --verify finds."""

from __future__ import annotations

import io
import json
import os
import pathlib
import shutil
import struct
from collections.abc import Callable

import pytest
from PIL import Image

from pipelines import main
from pipelines.common import paths, schema
from pipelines.common.errors import UserError
from pipelines.common.labels import Label, format_labels, parse_labels
from pipelines.inspection import command as inspection_command
from pipelines.inspection import tfrecord_scan
from pipelines.inspection.version_folder import find_version
from pipelines.storage import tf_example, tfrecord

VERSION = "dataset/gld2/1.0.0"
INFO = "dataset_info.json"
TRAIN, VALIDATION, TEST = (paths.shard(split, 0, 1) for split in schema.OUTPUT_SPLITS)

Spoil = Callable[[pathlib.Path], None]


@pytest.fixture
def folder(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(prepared / VERSION, tmp_path / "1.0.0"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures go to where the command is given."""
    monkeypatch.chdir(tmp_path)


def records(path: pathlib.Path) -> list[bytes]:
    with path.open("rb") as file:
        return list(tfrecord.read(file))


def write(path: pathlib.Path, found: list[bytes]) -> None:
    path.write_bytes(b"".join(map(tfrecord.frame, found)))


def changed(record: bytes, features: dict[str, tf_example.Value]) -> bytes:
    return tf_example.encode(tf_example.decode(record) | features)


def grey(record: bytes) -> bytes:
    found = tf_example.decode(record)
    out = io.BytesIO()
    Image.new("L", (found[schema.WIDTH], found[schema.HEIGHT])).save(out, "JPEG")  # type: ignore[arg-type]
    return out.getvalue()


def verified(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What --verify prints of a spoilt dataset."""
    assert inspection_command.main([str(folder), "--verify", "--workers=1"]) == 1
    return capsys.readouterr().out.splitlines()


# ---- faults: what is done to the folder -----------------------------------------------------


def flip(name: str, offset: int) -> Spoil:
    def spoil(folder: pathlib.Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[offset] ^= 1
        (folder / name).write_bytes(data)

    return spoil


def cut(folder: pathlib.Path) -> None:
    os.truncate(folder / TRAIN, (folder / TRAIN).stat().st_size - 9)


def first(name: str = TRAIN, /, **features: tf_example.Value) -> Spoil:
    """Changes features of a shard's first record, whose frame is then right."""
    keys = {field: f"image/{field.replace('__', '/')}" for field in features}

    def spoil(folder: pathlib.Path) -> None:
        head, *rest = records(folder / name)
        new = {keys[field]: value for field, value in features.items()}
        write(folder / name, [changed(head, new), *rest])

    return spoil


def no_colour(folder: pathlib.Path) -> None:
    first(encoded=grey(records(folder / TRAIN)[0]))(folder)


def garbage(folder: pathlib.Path) -> None:
    jpeg = tf_example.decode(records(folder / TEST)[0])[schema.ENCODED]
    first(TEST, encoded=bytes(len(jpeg)))(folder)  # type: ignore[arg-type]


def half(folder: pathlib.Path) -> None:
    jpeg = tf_example.decode(records(folder / TRAIN)[0])[schema.ENCODED]
    first(encoded=jpeg[: len(jpeg) // 2])(folder)  # type: ignore[arg-type, index]


def other_label(folder: pathlib.Path) -> None:
    label = tf_example.decode(records(folder / TRAIN)[0])[schema.LABEL]
    first(class__label=1 if label == 0 else 0)(folder)


def no_example(folder: pathlib.Path) -> None:
    write(folder / TRAIN, [b"\xff" * 50, *records(folder / TRAIN)[1:]])


def no_label(folder: pathlib.Path) -> None:
    head, *rest = records(folder / TRAIN)
    features = tf_example.decode(head)
    del features[schema.LABEL]
    write(folder / TRAIN, [tf_example.encode(features), *rest])


def repeat(folder: pathlib.Path) -> None:
    write(folder / VALIDATION, [*records(folder / VALIDATION), records(folder / TRAIN)[3]])


def removed(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def written(name: str, text: str) -> Spoil:
    def spoil(folder: pathlib.Path) -> None:
        (folder / name).write_text(text)

    return spoil


def foreign_shard(folder: pathlib.Path) -> None:
    shutil.copy(folder / VALIDATION, folder / "gld2-validation.tfrecord-00001-of-00002")


def other_info(folder: pathlib.Path) -> None:
    info = json.loads((folder / "dataset_info.json").read_text())
    train = next(split for split in info["splits"] if split["name"] == "train")
    train["shardLengths"] = [str(int(train["shardLengths"][0]) + 1)]
    (folder / "dataset_info.json").write_text(json.dumps(info))


def other_labels(folder: pathlib.Path) -> None:
    labels = parse_labels((folder / "labels.csv").read_text())
    labels[2] = Label(2, labels[2].landmark_id, 1000)
    (folder / "labels.csv").write_text(format_labels(labels))


@pytest.mark.parametrize(
    ("spoil", "where", "expected"),
    [
        (flip(TRAIN, 60), f"{TRAIN} record 0: crc: ", "the record does not fit its CRC (byte 0)"),
        (flip(TRAIN, 3), f"{TRAIN} record 0: frame: ", "length does not fit its CRC (byte 0)"),
        (cut, f"{TRAIN} record ", "the file ends after"),
        (cut, "train bytes: sum: ", "stats.json expected"),
        (no_example, f"{TRAIN} record 0: example: ", "expected a tf.train.Example"),
        (first(height=b"9"), f"{TRAIN} record 0: example: ", "expected int, found b'9'"),
        (first(channels=1), f"{TRAIN} record 0: format: ", "image/channels: expected 3, found 1"),
        (first(id=b"x"), f"{TRAIN} record 0: id: ", "expected 16 hex, found 'x'"),
        (garbage, f"{TEST} record 0: photo: ", "expected a whole JPEG"),
        (half, f"{TRAIN} record 0: photo: ", "truncated"),
        (no_colour, f"{TRAIN} record 0: photo: ", "expected RGB, found L"),
        (first(width=9), f"{TRAIN} record 0: size: ", "expected 9 x "),
        (first(class__label=12), f"{TRAIN} record 0: label: ", "expected 0 to 11, found 12"),
        (first(class__label=-1), f"{TRAIN} record 0: label: ", "expected 0 to 11, found -1"),
        (no_label, f"{TRAIN} record 0: label: ", "expected 0 to 11, found none"),
        (first(TEST, class__label=1), f"{TEST} record 0: label: ", "expected none on test"),
        (other_label, f"{TRAIN} record 0: landmark: ", " for label "),
        (first(class__landmark_id=7), f"{TRAIN} record 0: landmark: ", "found 7"),
        (repeat, f"{VALIDATION} record ", f"is in {TRAIN} record 3 too"),
        (repeat, f"{VALIDATION} records: sum: ", "dataset_info.json expected "),
        (repeat, "validation images: sum: ", "stats.json expected "),
        (removed(VALIDATION), f"{VALIDATION}: file: ", "is missing"),
        (foreign_shard, "gld2-validation.tfrecord-00001-of-00002: file: ", "does not list"),
        (written("notes.txt", ""), "notes.txt: file: ", "is unexpected"),
        (removed(INFO), f"{INFO}: file: ", "is missing"),
        (written(INFO, '{"splits": '), f"{INFO}: file: ", "expected TFDS's splits"),
        (other_info, f"{TRAIN} records: sum: ", "dataset_info.json expected "),
        (other_labels, "labels.csv label 2: sum: ", "expected 1000 images, found "),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_fault_is_named(folder: pathlib.Path, capsys, spoil: Spoil, where: str, expected: str):
    spoil(folder)
    lines = verified(folder, capsys)
    assert [line for line in lines if line.startswith(f"inspect: {where}") and expected in line]
    assert "records verified: " in lines[-1]
    assert "faults (" in lines[-1]


@pytest.mark.parametrize(
    "spoil",
    [flip(TRAIN, 60), flip(TRAIN, 3), garbage, first(TEST, id=b"x" * 16), removed(INFO)],
    ids=["payload", "length", "photo", "id", "info"],
)
def test_one_fault_is_told_once_and_hides_nothing(folder: pathlib.Path, capsys, spoil: Spoil):
    whole = sum(len(records(path)) for path in folder.glob("gld2-*"))
    spoil(folder)
    assert f"{whole} records verified: 1 faults" in verified(folder, capsys)[-1]


def test_what_follows_two_kinds_of_damage_is_verified(folder: pathlib.Path, capsys):
    frame_bytes = len(tfrecord.frame(records(folder / TRAIN)[0]))
    first(TEST, id=b"x" * 16)(folder)
    flip(TRAIN, 3)(folder)
    flip(TRAIN, frame_bytes + 60)(folder)
    lines = verified(folder, capsys)
    assert any(line.startswith(f"inspect: {TRAIN} record 1: crc") for line in lines)
    assert lines[-1].endswith("3 faults (crc 1, frame 1, id 1)")


def test_the_first_faults_of_a_kind_are_named_and_all_are_counted(folder: pathlib.Path, capsys):
    found = records(folder / TRAIN)
    write(folder / TRAIN, [changed(record, {schema.CHANNELS: 4}) for record in found])
    lines = verified(folder, capsys)
    assert sum(": format: image/channels" in line for line in lines) == 10
    assert f"inspect: format: {len(found) - 10} more" in lines
    assert f"(format {len(found)}, " in lines[-1]


@pytest.mark.parametrize("fill", [b"\0", b"\1", b"\0\0\1"])
@pytest.mark.parametrize(
    "junk", [0, 1, 11, *range(tfrecord_scan.BLOCK - 20, tfrecord_scan.BLOCK + 5)]
)
def test_the_next_frame_is_found_behind_any_junk(junk: int, fill: bytes):
    data = (fill * junk)[:junk] + tfrecord.frame(b"one") + b"\x01" + tfrecord.frame(b"two")
    found = list(tfrecord_scan.scan(io.BytesIO(data), len(data)))
    assert [frame.record for frame in found if frame.record] == [b"one", b"two"]
    assert [frame.offset for frame in found][-1] == len(data) - len(tfrecord.frame(b"two"))


def test_a_file_of_zeros_is_searched_in_no_time():
    data = bytes(20_000_000)
    assert tfrecord_scan.find(io.BytesIO(data), 0, len(data)) == len(data)


def test_a_length_beyond_the_file_is_not_believed():
    long = tfrecord.frame(bytes(100))[: tfrecord.HEADER.size]
    data = long + struct.pack("<I", 0) + tfrecord.frame(b"two")
    assert [frame.record for frame in tfrecord_scan.scan(io.BytesIO(data), len(data))] == [
        None,
        b"two",
    ]


# ---- whole datasets -------------------------------------------------------------------------


def in_shards(folder: pathlib.Path, number: int) -> None:
    """The same records of train in more shards, as an older gld2 counted them."""
    found = records(folder / TRAIN)
    (folder / TRAIN).unlink()
    for shard in range(number):
        write(folder / paths.shard("train", shard, number), found[shard::number])
    stats = json.loads((folder / "stats.json").read_text())
    stats["splits"]["train"]["shards"] = number
    for split in stats["splits"].values():
        split.pop("shard_lengths", None)
    for name in ("mean", "std", "classes"):
        stats.pop(name, None)
    (folder / "stats.json").write_text(json.dumps(stats))
    (folder / "dataset_info.json").unlink(missing_ok=True)


def test_a_whole_dataset_is_clean_and_is_found_from_above(prepared: pathlib.Path, capsys):
    assert inspection_command.main([str(prepared / "dataset"), "--verify", "--workers=2"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_an_older_dataset_lacks_its_info_alone(folder: pathlib.Path, capsys):
    in_shards(folder, 3)
    lines = verified(folder, capsys)
    assert "inspect: dataset_info.json: file: is missing: an older gld2 made this" in lines[-2]
    assert lines[-1].endswith(": 1 faults (file 1)")


def test_a_lost_shard_hides_no_fault_of_the_others(folder: pathlib.Path, capsys):
    in_shards(folder, 3)
    lost, spoilt = (paths.shard("train", number, 3) for number in (0, 2))
    (folder / lost).unlink()
    flip(spoilt, 60)(folder)
    lines = verified(folder, capsys)
    assert f"inspect: {lost}: file: is missing" in lines
    assert any(line.startswith(f"inspect: {spoilt} record 0: crc: ") for line in lines)
    assert lines[-1].endswith(": 3 faults (crc 1, file 2)")


# ---- a look ---------------------------------------------------------------------------------


def test_a_look_is_the_same_for_the_same_seed(prepared: pathlib.Path, tmp_path, capsys):
    before = sorted(path.name for path in (prepared / VERSION).iterdir())
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        flags = [f"--output={tmp_path / name}", f"--seed={seed}"]
        assert inspection_command.main([str(prepared / "dataset"), *flags]) == 0
    one, same, other = (
        (tmp_path / n / "photos.jpg").read_bytes() for n in ("one", "same", "other")
    )
    assert one == same != other
    assert Image.open(tmp_path / "one/classes.png").width > 500
    assert sorted(path.name for path in (prepared / VERSION).iterdir()) == before
    stats = json.loads((prepared / VERSION / "stats.json").read_text())
    images = stats["splits"]["train"]["images"]
    assert f"train: {images} images in 1 shards" in capsys.readouterr().out


@pytest.mark.parametrize(
    "spoil", [flip(TRAIN, 60), flip(TRAIN, 3), first(encoded=b"no"), no_example, cut]
)
def test_a_look_at_a_damaged_dataset_shows_the_rest(folder: pathlib.Path, capsys, spoil: Spoil):
    spoil(folder)
    assert inspection_command.main([str(folder)]) == 0
    assert (folder.parent / "inspect/photos.jpg").exists()
    assert "no record verified" in capsys.readouterr().out


@pytest.mark.parametrize(
    "spoil", [removed(VALIDATION), written("notes.txt", ""), foreign_shard, removed(INFO)]
)
def test_a_look_finds_what_the_folder_lacks(folder: pathlib.Path, spoil: Spoil, capsys):
    spoil(folder)
    assert inspection_command.main([str(folder)]) == 1
    assert "1 faults (file 1)" in capsys.readouterr().out


def test_empty_shards_have_nothing_to_show(folder: pathlib.Path, capsys):
    for path in folder.glob("gld2-*"):
        path.write_bytes(b"")
    assert inspection_command.main([str(folder)]) == 0
    assert "photos.jpg: there is nothing to show" in capsys.readouterr().out


def test_the_newest_version_is_taken(tmp_path: pathlib.Path):
    for version in ("1.9.0", "1.10.0", "1.11.0.incomplete", "notes"):
        (tmp_path / "gld2" / version).mkdir(parents=True)
        (tmp_path / "gld2" / version / "labels.csv").touch()
    for place in (tmp_path, tmp_path / "gld2", tmp_path / "gld2/1.10.0"):
        assert find_version(f"{place}/").endswith("/1.10.0")
    with pytest.raises(UserError, match="run gld2 shard"):
        find_version(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--seed=-1"], "--seed"),
        (["--workers=0"], "--workers"),
        (["--output={folder}/look"], "outside the dataset"),
        (["--output={folder}"], "outside the dataset"),
    ],
)
def test_a_mistake_is_one_line(folder: pathlib.Path, capsys, flags: list[str], expected: str):
    words = [str(folder), *(flag.format(folder=folder) for flag in flags)]
    assert main.main(["inspect", *words]) == 2
    assert expected in capsys.readouterr().err


def test_garbled_stats_are_one_line(folder: pathlib.Path, capsys):
    (folder / "stats.json").write_text('{"splits": {"train": {}}}')
    assert main.main(["inspect", str(folder)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
