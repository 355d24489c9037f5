"""Small files, local or gs://, that are either whole or absent."""

from __future__ import annotations

import tensorflow as tf

from pipelines.schema import UserError


def read(path: str) -> str:
    """A text file's content.

    Raises:
      UserError: it is absent or is not text.
    """
    try:
        with tf.io.gfile.GFile(path, "r") as file:
            return file.read()
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def write(path: str, content: str | bytes) -> None:
    """Writes beside the path, then renames."""
    unfinished = f"{path}.tmp"
    with tf.io.gfile.GFile(unfinished, "wb" if isinstance(content, bytes) else "w") as file:
        file.write(content)
    tf.io.gfile.rename(unfinished, path, overwrite=True)
