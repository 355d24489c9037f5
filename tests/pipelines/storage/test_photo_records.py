"""TFRecord frames and Examples, against TensorFlow's own reader and writer."""

from __future__ import annotations

import io

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common import schema
from pipelines.storage import parquet, tf_example, tfrecord

FEATURES = {"image/encoded": b"\xff\xd8photo", "image/height": 288, "image/id": b"00ff"}


def test_tensorflow_reads_our_frames(tmp_path):
    path = tmp_path / "ours.tfrecord"
    records = [b"", b"a", bytes(range(256)) * 300]
    path.write_bytes(b"".join(map(tfrecord.frame, records)))
    assert [r.numpy() for r in tf.data.TFRecordDataset(str(path))] == records


def test_we_read_tensorflows_frames(tmp_path):
    path = str(tmp_path / "theirs.tfrecord")
    records = [b"", b"a", bytes(range(256)) * 300]
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    with open(path, "rb") as file:
        assert list(tfrecord.read(file)) == records


@given(st.binary(max_size=200), st.data())
def test_a_changed_byte_is_noticed(record: bytes, data):
    frame = bytearray(tfrecord.frame(record))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(tfrecord.Corrupt):
        tfrecord.unframe(bytes(frame))
    with pytest.raises(tfrecord.Corrupt):
        list(tfrecord.read(io.BytesIO(bytes(frame))))


@pytest.mark.parametrize("cut", [1, 11, 12, 15])
def test_a_cut_file_is_noticed(cut: int):
    data = tfrecord.frame(b"x" * 50)[:-cut]
    for part in (data, data[:15]):  # shorter than any frame
        with pytest.raises(tfrecord.Corrupt):
            tfrecord.unframe(part)
    with pytest.raises(tfrecord.Corrupt):
        list(tfrecord.read(io.BytesIO(data)))


def test_two_examples_in_a_row_are_one():
    record = tf_example.encode(FEATURES) + tf_example.encode({"image/class/label": 7})
    assert tf_example.decode(record) == FEATURES | {"image/class/label": 7}
    spec = {
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
        "image/id": tf.io.FixedLenFeature([], tf.string),
    }
    parsed = tf.io.parse_single_example(record, spec)
    assert (parsed["image/class/label"], parsed["image/id"]) == (7, b"00ff")


def test_order_of_features_does_not_change_the_bytes():
    turned = dict(reversed(FEATURES.items()))
    assert tf_example.encode(turned) == tf_example.encode(FEATURES)


def test_hashes_beside_nulls_stay_exact(tmp_path):
    path = str(tmp_path / "facts.parquet")
    hashes = [2**62 + 1, None, 2**63 - 1, 2**64 - 1]
    for some in (hashes, hashes[:3]):
        rows = [dict.fromkeys(schema.FACTS) | {"phash": value} for value in some]
        parquet.write(path, parquet.from_rows(rows, schema.FACTS), schema.FACTS)
        assert parquet.to_rows(parquet.read(path, schema.FACTS), schema.FACTS) == rows
