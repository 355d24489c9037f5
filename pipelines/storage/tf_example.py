"""Encodes and decodes tf.train.Example without TensorFlow.

The message type is declared here for protobuf, in a descriptor pool of its own: an import
of TensorFlow would cost each download worker some seconds and 500 MB. The wire format is
that of tensorflow/core/example/*.proto.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Value = bytes | int
_Field = descriptor_pb2.FieldDescriptorProto


def encode(features: Mapping[str, Value]) -> bytes:
    """Returns a serialized Example; the same features give the same bytes.

    Two serialized Examples, one after the other, are an Example with the features of both,
    as protobuf merges messages. So a label is added to a photo without decoding it.

    Args:
      features: key -> bytes or int, each stored as a list of one value.
    """
    example = _Example()
    for key, value in features.items():
        feature = example.features.feature[key]
        if isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.bytes_list.value.append(value)
    return example.SerializeToString(deterministic=True)


def decode(record: bytes) -> dict[str, Value]:
    """Returns the features of a serialized Example, each of one bytes or int value."""
    features = _Example.FromString(record).features.feature
    return {key: _only(feature) for key, feature in features.items()}


def _only(feature) -> Value:
    (value,) = feature.bytes_list.value or feature.int64_list.value
    return value


def _example_class():
    file = descriptor_pb2.FileDescriptorProto(
        name="gld2/example.proto", package="gld2", syntax="proto3"
    )
    _message(file, "BytesList", ("value", 1, _Field.TYPE_BYTES, _Field.LABEL_REPEATED, ""))
    _message(file, "Int64List", ("value", 1, _Field.TYPE_INT64, _Field.LABEL_REPEATED, ""))
    _message(
        file,
        "Feature",
        ("bytes_list", 1, _Field.TYPE_MESSAGE, _Field.LABEL_OPTIONAL, ".gld2.BytesList"),
        ("int64_list", 3, _Field.TYPE_MESSAGE, _Field.LABEL_OPTIONAL, ".gld2.Int64List"),
    )
    features = _message(
        file,
        "Features",
        ("feature", 1, _Field.TYPE_MESSAGE, _Field.LABEL_REPEATED, ".gld2.Features.FeatureEntry"),
    )
    _message(
        features,
        "FeatureEntry",
        ("key", 1, _Field.TYPE_STRING, _Field.LABEL_OPTIONAL, ""),
        ("value", 2, _Field.TYPE_MESSAGE, _Field.LABEL_OPTIONAL, ".gld2.Feature"),
    )
    _message(
        file,
        "Example",
        ("features", 1, _Field.TYPE_MESSAGE, _Field.LABEL_OPTIONAL, ".gld2.Features"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("gld2.Example"))


def _message(parent, name: str, *fields):
    nested = isinstance(parent, descriptor_pb2.DescriptorProto)
    message = (parent.nested_type if nested else parent.message_type).add(name=name)
    for field, number, kind, label, type_name in fields:
        message.field.add(
            name=field, number=number, type=kind, label=label, type_name=type_name or None
        )
    if nested:
        message.options.map_entry = True
    return message


_Example = _example_class()
