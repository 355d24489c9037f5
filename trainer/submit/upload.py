"""Files on Cloud Storage: uploads those that a TPU VM needs, and reads those that it writes."""

from __future__ import annotations

import datetime
import hashlib
import pathlib

from google.cloud.storage import Blob, Client

from pipelines.common.errors import UserError

MAX_BYTES = 100 * 2**20  # of an uploaded file
MAX_READ = 4096  # bytes that are read of a note


def staged_uri(path: str, folder: str) -> str:
    """Returns the URI below a folder to which a local file is uploaded; a gs:// path as it is.

    The file's digest is part of the URI, so that a VM that boots again finds the file that it was
    submitted with, whatever was submitted since.

    Raises:
      UserError: there is no such file, or it is too large.
    """
    if path.startswith("gs://"):
        return path
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"{path}: no such file")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"{path}: expected at most {MAX_BYTES} bytes, found {file.stat().st_size}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return f"{folder}/{digest}/{file.name}"


def upload(client: Client, path: str, uri: str) -> None:
    """Uploads a local file to its URI from `staged_uri`, where it is not there yet."""
    blob = Blob.from_uri(uri, client=client)
    if path != uri and not blob.exists():
        blob.upload_from_filename(path)


def exists(client: Client, uri: str) -> bool:
    """Returns whether there is an object of that gs:// URI."""
    return Blob.from_uri(uri, client=client).exists()


def read_note(client: Client, uri: str, since: datetime.datetime | None) -> str | None:
    """Returns the first MAX_READ bytes of a text file, or None where there is no file.

    Args:
      client: a client of Cloud Storage.
      uri: the file's gs:// URI.
      since: an older file is ignored, as it is of an earlier run; None for any age.
    """
    named = Blob.from_uri(uri, client=client)
    blob = named.bucket.get_blob(named.name)
    if blob is None or (since and blob.updated < since):
        return None
    return blob.download_as_bytes(end=MAX_READ - 1).decode("utf-8", "replace")
