"""Small files, local or gs://, that are either whole or absent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TypeVar

import tensorflow as tf

from pipelines.common.errors import TransientError, UserError, in_one_line
from pipelines.common.records import json_record

# Of TensorFlow's errors: deadline exceeded, aborted, unavailable, as a store may be for a while.
_TRANSIENT = (4, 10, 14)

T = TypeVar("T")


def _kind(error: Exception) -> type[UserError]:
    return TransientError if getattr(error, "error_code", None) in _TRANSIENT else UserError


@contextlib.contextmanager
def reaching(place: str, done: str = "used") -> Iterator[None]:
    """Makes what TensorFlow says of files that it cannot reach an error of one line.

    Args:
      place: what is reached for, as a user knows it.
      done: what cannot be done with it.

    Raises:
      UserError: naming the place; a TransientError where TensorFlow's code says that it may pass.
    """
    try:
        yield
    except tf.errors.OpError as error:
        raise _kind(error)(f"{place}: cannot be {done}: {in_one_line(error.message)}") from error


def read(path: str) -> str:
    """A text file's content.

    Raises:
      UserError: it is absent or is not text.
    """
    with reaching(path, "read"), tf.io.gfile.GFile(path, "rb") as file:
        data = file.read()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def write(path: str, content: str | bytes) -> None:
    """Writes beside the path, then renames."""
    unfinished = f"{path}.tmp"
    with tf.io.gfile.GFile(unfinished, "wb" if isinstance(content, bytes) else "w") as file:
        file.write(content)
    tf.io.gfile.rename(unfinished, path, overwrite=True)


def read_record(kind: type[T], path: str) -> T:
    """Reads a record from its JSON file.

    Args:
      kind: a dataclass, or another hint that `records` knows.
      path: of the file.

    Raises:
      UserError: it is absent or holds something else.
    """
    return json_record.loads(kind, read(path), path)


def write_record(path: str, record: object) -> None:
    """Writes a record as JSON, its keys in the order of the fields."""
    write(path, json_record.dumps(record, sort_keys=False))
