"""Ranged reads: from a disk, and from an object store that answers over HTTP."""

from __future__ import annotations

import pathlib

import pytest
from google.cloud import storage

from pipelines.common import paths
from pipelines.common.errors import UserError
from pipelines.storage import filesystem, ranged_reads, tfrecord
from pipelines.storage.ranged_reads import RecordLocation

RECORDS = [bytes([n]) * 3000 for n in range(100)]
FRAME = len(tfrecord.frame(RECORDS[0]))


def places(indices: range) -> list[RecordLocation]:
    return [RecordLocation("unit", number * FRAME, FRAME, n) for n, number in enumerate(indices)]


def write(folder: str) -> None:
    filesystem.write(paths.join(folder, "unit.tfrecord"), b"".join(map(tfrecord.frame, RECORDS)))


@pytest.mark.parametrize("step", [1, 7, 40, -9])
def test_records_come_in_the_order_asked_for(bucket: str, tmp_path: pathlib.Path, step: int):
    wanted = range(0, 100, step) if step > 0 else range(99, -1, step)
    for folder in (str(tmp_path), f"{bucket}/staged"):
        write(folder)
        found = ranged_reads.gather(places(wanted), lambda unit, f=folder: f"{f}/{unit}.tfrecord")
        assert found == [RECORDS[number] for number in wanted]


def test_an_object_store_is_asked_for_what_is_wanted_and_no_more(
    bucket: str, monkeypatch: pytest.MonkeyPatch
):
    write(f"{bucket}/staged")
    asked = []
    download = storage.Blob.download_as_bytes

    def spy(blob, *args, **kwargs):
        asked.append(kwargs["end"] - kwargs["start"])
        return download(blob, *args, **kwargs)

    monkeypatch.setattr(storage.Blob, "download_as_bytes", spy)
    monkeypatch.setattr(ranged_reads, "GAP", FRAME)
    near, far = [0, 1, 3], [50, 99]
    wanted = [RecordLocation("unit", n * FRAME, FRAME, i) for i, n in enumerate([*near, *far])]
    ranged_reads.gather(wanted, lambda unit: f"{bucket}/staged/{unit}.tfrecord")
    assert sorted(asked) == pytest.approx([FRAME, FRAME, 4 * FRAME], abs=2)


def test_what_is_not_there_is_named(bucket: str):
    with pytest.raises(UserError, match=r"gs://bucket/none/unit.tfrecord: cannot be read"):
        ranged_reads.gather(places(range(1)), lambda unit: f"{bucket}/none/{unit}.tfrecord")
    with pytest.raises(UserError, match=r"gs://bucket/none: cannot be read"):
        filesystem.read(f"{bucket}/none")
