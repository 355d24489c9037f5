"""Shards on a local disk, copied there from gs:// before they are read epoch after epoch."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
from pathlib import Path

import tensorflow as tf

from pipelines.common.errors import UserError

_AT_ONCE = 8


def local(paths: list[str], folder: str) -> list[str]:
    """Copies what is not there yet; a file appears under its name when it is whole.

    Args:
      paths: of the shards.
      folder: the cache. It may serve several datasets, and several runs.

    Returns:
      Paths of the copies, in the same order.

    Raises:
      UserError: they cannot be read or written.
    """
    try:
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda path: _copy(path, Path(folder)), paths))
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--cache {folder}: {error}") from error


def _copy(path: str, folder: Path) -> str:
    """Of the same name in the cache; another path or another length is another file."""
    length = tf.io.gfile.stat(path).length
    source = hashlib.sha256(f"{path} {length}".encode()).hexdigest()[:16]
    copy = folder / source / os.path.basename(path)
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}.tmp")
        tf.io.gfile.copy(path, str(unfinished), overwrite=True)
        unfinished.replace(copy)
    return str(copy)
