"""Small whole files, on a disk or, through Beam's FileSystems, on gs://.

Beam takes two seconds to import: what reads and writes files of a disk by their names does
without, so that short commands are short.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, TypeVar

from pipelines.common.errors import UserError
from pipelines.common.paths import join
from pipelines.common.records import json_record

FULL = (errno.ENOSPC, errno.EDQUOT)

T = TypeVar("T")


def unreadable() -> tuple[type[Exception], ...]:
    """Returns the errors of a file that cannot be read; for an `except`, which asks only then."""
    from google.api_core.exceptions import GoogleAPIError  # slow to import
    from google.auth.exceptions import GoogleAuthError

    return OSError, GoogleAPIError, GoogleAuthError  # Beam's errors are OSErrors


def exists(path: str) -> bool:
    return os.path.exists(path) if on_disk(path) else _file_systems().exists(path)


def size(path: str) -> int:
    """Bytes."""
    (found,) = _file_systems().match([path])
    return found.metadata_list[0].size_in_bytes


def checksum(path: str) -> str:
    """The file system's own: a digest on gs://, the size and time of change on a disk."""
    return f"{_file_systems().checksum(path)} {_file_systems().last_updated(path)}"


def match(pattern: str) -> list[str]:
    """Paths that fit a glob, sorted; none where its folder does not exist.

    Raises:
      UserError: an object store does not list them. It has no folders that could be absent, and
        no answer does not mean that there is nothing.
    """
    return sorted(found.path for found in _metadata(pattern))


def _metadata(pattern: str) -> list[Any]:
    """Returns what Beam tells of each file that fits a glob."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        (found,) = _file_systems().match([pattern])
    except BeamIOError as error:
        if on_disk(pattern):
            return []
        raise UserError(f"{pattern}: cannot be listed ({error}); check the path") from None
    # In an object store, TensorFlow has empty objects stand for folders.
    return [metadata for metadata in found.metadata_list if not metadata.path.endswith("/")]


class Entry(NamedTuple):
    """A file, as its folder lists it.

    Attributes:
      size: bytes; those written so far, where a file on a disk is being written.
      changed: seconds since the epoch.
    """

    size: int
    changed: float


def listing(folder: str) -> dict[str, Entry]:
    """Returns the files right in a folder by their names; none where it does not exist.

    No file is opened. An object store lists a file once all of it is written.

    Raises:
      UserError: an object store does not list them.
    """
    if on_disk(folder):
        return _scan(folder)
    return {
        found.path.rpartition("/")[2]: Entry(found.size_in_bytes, found.last_updated_in_seconds)
        for found in _metadata(join(folder, "*"))
    }


def _scan(folder: str) -> dict[str, Entry]:
    files = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):  # it was renamed or removed just now
                if entry.is_file():
                    stat = entry.stat()
                    files[entry.name] = Entry(stat.st_size, stat.st_mtime)
    return files


def open_read(path: str) -> IO[bytes]:
    """Opens a file for reading, byte for byte, never decompressed.

    Raises:
      UserError: there is no such file, or it may not be read.
    """
    try:
        return open(path, "rb") if on_disk(path) else _beam_file("open", path)
    except unreadable() as error:
        raise UserError(f"{path}: cannot be read ({error}); check the path") from None


def open_ranges(path: str) -> IO[bytes]:
    """Opens a file of which some short ranges are wanted.

    On gs://, Beam's reader fetches 16 MB wherever it is asked for a few bytes;
    this one fetches what is asked for.

    Raises:
      UserError: there is no such file, or it may not be read.
    """
    if not path.startswith("gs://"):
        return open_read(path)
    from apache_beam.io.gcp import gcsio  # slow to import

    try:
        return gcsio.GcsIO().open(path, read_buffer_size=1)
    except unreadable() as error:
        raise UserError(f"{path}: cannot be read ({error}); check the path") from None


def read(path: str) -> bytes:
    with open_read(path) as file:
        return file.read()


def read_json(path: str) -> Any:
    try:
        return json.loads(read(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: expected JSON, found {error}; remove it and run again") from None


def read_record(kind: type[T], path: str, remedy: str = "") -> T:
    """Reads a record from its JSON file.

    Args:
      kind: a dataclass, or another hint that `records` knows.
      path: of the file.
      remedy: what the user can do about a file that cannot be read; '' for the kind's own.

    Raises:
      UserError: there is no such file, or it holds something else.
    """
    return json_record.loads(kind, read(path), path, remedy)


@contextlib.contextmanager
def atomic(path: str) -> Iterator[IO[bytes]]:
    """Opens `path` for writing under a temporary name; the name is changed when all is written.

    The temporary name is unique, so two workers that race for the same file
    leave one whole file. It has no leading dot: object stores list it, and a
    person can see what a killed run left.

    Raises:
      UserError: the disk is full, or no file of that name can be made.
    """
    temporary = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with _writing(path):
            file = _create(temporary)
        with file:
            yield file
        with _writing(path):
            rename(temporary, path)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError) and error.errno in FULL:
            raise UserError(
                f"{path}: {error.strerror}; make room and run the same command again"
            ) from None
        raise


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    """What keeps a file from being made, as a UserError; a full disk is told by `atomic`."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


def check_output(flag: str, path: str) -> None:
    """Looks at the name of a file that is to be written, before any work is done.

    Raises:
      UserError: it is a folder, or lies below a file.
    """
    if path.endswith("/") or (on_disk(path) and os.path.isdir(path)):
        raise UserError(f"{flag} {path}: expected the name of a file, found a folder")
    make_folder(path.rpartition("/")[0] or ".")


def rename(old: str, new: str) -> None:
    if on_disk(old):
        os.rename(old, new)
    else:
        _file_systems().rename([old], [new])


def write(path: str, data: bytes | str) -> None:
    with atomic(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_json(path: str, value: Any) -> None:
    write(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_record(path: str, record: object) -> None:
    write(path, json_record.dumps(record))


def remove(*paths: str) -> None:
    """Removes files and folders; what is not there is no error."""
    from apache_beam.io.filesystem import BeamIOError

    with contextlib.suppress(BeamIOError):
        _file_systems().delete([found for path in paths for found in _at(path)])


def _at(path: str) -> list[str]:
    """The file or folder; in an object store also all whose names go on from there."""
    found = [path] if exists(path) else []
    return found if on_disk(path) else [*found, f"{path}/"]


def rename_folder(source: str, target: str, last: str) -> None:
    """Gives a folder another name. A folder on a disk appears whole; in an object store, which
    has no folders, its files appear one by one and the file `last` after all others."""
    if on_disk(source):
        rename(source, target)
        return
    names = [path.rsplit("/", 1)[1] for path in match(join(source, "*"))]
    for some in ([name for name in names if name != last], [last]):
        _file_systems().rename([join(source, n) for n in some], [join(target, n) for n in some])


def remove_temporaries(folder: str) -> None:
    """Removes what a killed run left half-written in `folder`."""
    remove(*match(join(folder, "*.tmp")))


def make_folder(path: str) -> None:
    """Raises UserError where a local folder cannot be made, before any work is done."""
    if not on_disk(path):
        return
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made a folder ({error.strerror})") from None


def on_disk(path: str) -> bool:
    """Returns whether a path is one of this machine's own file system."""
    return "://" not in path


def _file_systems():
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _create(path: str) -> IO[bytes]:
    if not on_disk(path):
        return _beam_file("create", path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    return open(path, "wb")


def _beam_file(how: str, path: str) -> IO[bytes]:
    from apache_beam.io.filesystem import CompressionTypes

    return getattr(_file_systems(), how)(path, compression_type=CompressionTypes.UNCOMPRESSED)
