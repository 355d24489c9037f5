"""Files on Cloud Storage: what is sent to a TPU VM, and what it leaves."""

from __future__ import annotations

import datetime
import hashlib
import pathlib

from google.cloud.storage import Blob, Client

from pipelines.common.errors import UserError

MAX_BYTES = 100 * 2**20  # of a package
MAX_READ = 4096  # bytes of a note that is read


def place(path: str, folder: str) -> str:
    """Where a local file will lie below a folder; a gs:// file stays where it is.

    Its digest is part of the path, so that a VM that boots again finds what it was sent with,
    whatever was submitted meanwhile.

    Raises:
      UserError: no such file, or it is too large.
    """
    if path.startswith("gs://"):
        return path
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"{path}: no such file")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"{path}: expected at most {MAX_BYTES} bytes")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return f"{folder}/{digest}/{file.name}"


def upload(client: Client, path: str, uri: str) -> None:
    """Copies a local file to where `place` said, if it is not there."""
    blob = Blob.from_uri(uri, client=client)
    if path != uri and not blob.exists():
        blob.upload_from_filename(path)


def exists(client: Client, uri: str) -> bool:
    return Blob.from_uri(uri, client=client).exists()


def note(client: Client, uri: str, since: datetime.datetime | None) -> str | None:
    """The beginning of a small text file, or None where there is none.

    Args:
      client: Cloud Storage's.
      uri: gs://.
      since: an older file is of another run, and does not count.
    """
    named = Blob.from_uri(uri, client=client)
    blob = named.bucket.get_blob(named.name)
    if blob is None or (since and blob.updated < since):
        return None
    return blob.download_as_bytes(end=MAX_READ - 1).decode("utf-8", "replace")
