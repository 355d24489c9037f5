"""Copies shards from gs:// to a local disk, as each epoch reads them again."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
from pathlib import Path

import tensorflow as tf

from pipelines.common.errors import UserError

_AT_ONCE = 8


def local(paths: list[str], folder: str) -> list[str]:
    """Copies shards that are not in the cache yet; returns the paths of all copies, in order.

    A copy gets its name only when it is complete, so that several runs may share the cache.

    Args:
      paths: paths of the shards.
      folder: the cache's local folder; it may hold several datasets.

    Raises:
      UserError: a shard cannot be read, or its copy cannot be written.
    """
    try:
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda path: _copy(path, Path(folder)), paths))
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"--cache {folder}: {error}") from error


def _copy(path: str, folder: Path) -> str:
    """Copies a file; its folder in the cache depends on the source's path and length."""
    length = tf.io.gfile.stat(path).length
    source = hashlib.sha256(f"{path} {length}".encode()).hexdigest()[:16]
    copy = folder / source / os.path.basename(path)
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}.tmp")
        tf.io.gfile.copy(path, str(unfinished), overwrite=True)
        unfinished.replace(copy)
    return str(copy)
