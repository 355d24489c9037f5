"""Reads and writes small files, local or gs://; a written file is whole or absent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TypeVar

import tensorflow as tf

from pipelines.common.errors import TransientError, UserError, in_one_line
from pipelines.common.records import json_record

# Codes of TensorFlow errors that may pass: deadline exceeded, aborted, unavailable.
_TRANSIENT = (4, 10, 14)

T = TypeVar("T")


@contextlib.contextmanager
def reaching(place: str, done: str = "used") -> Iterator[None]:
    """Turns TensorFlow's errors about files into a UserError of one line.

    Args:
      place: the file or folder, as the user named it.
      done: the participle of what is done with it, for the message.

    Raises:
      UserError: TensorFlow failed; a TransientError where its code says that this may pass.
    """
    try:
        yield
    except tf.errors.OpError as error:
        kind = TransientError if error.error_code in _TRANSIENT else UserError
        raise kind(f"{place}: cannot be {done}: {in_one_line(error.message)}") from error


def read(path: str) -> str:
    """Returns a text file's content.

    Raises:
      UserError: the file is absent or is not UTF-8.
    """
    with reaching(path, "read"), tf.io.gfile.GFile(path, "rb") as file:
        data = file.read()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def write(path: str, content: str | bytes) -> None:
    """Writes a file: to a temporary one beside it, which is then renamed."""
    unfinished = f"{path}.tmp"
    with tf.io.gfile.GFile(unfinished, "wb" if isinstance(content, bytes) else "w") as file:
        file.write(content)
    publish(unfinished, path)


def publish(unfinished: str, path: str) -> None:
    """Gives a complete file its name; on a disk, its bytes are stored before."""
    if "://" not in path:
        number = os.open(unfinished, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
    tf.io.gfile.rename(unfinished, path, overwrite=True)


def read_record(kind: type[T], path: str) -> T:
    """Reads a record from its JSON file.

    Args:
      kind: a dataclass, or another type hint that `json_record` reads.
      path: the file's path.

    Raises:
      UserError: the file is absent or does not fit the type.
    """
    return json_record.loads(kind, read(path), path)


def write_record(path: str, record: object) -> None:
    """Writes a record as JSON, its keys in the order of the fields."""
    write(path, json_record.dumps(record, sort_keys=False))
