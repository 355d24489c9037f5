"""Reads, writes, lists and renames small files on a disk or, through Beam's FileSystems, on gs://.

Beam takes two seconds to import: functions that read and write files on a disk by name do
without it, so that short commands stay fast.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from typing import IO, NamedTuple, TypeVar

from pipelines.common.errors import UserError
from pipelines.common.paths import join
from pipelines.common.records import json_record

FULL = (errno.ENOSPC, errno.EDQUOT)

T = TypeVar("T")


def unreadable() -> tuple[type[Exception], ...]:
    """Returns the errors that a file which cannot be read may raise, for an `except` clause.

    It is a function because an `except` clause is evaluated only once an error was raised: the
    imports below are slow.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    return OSError, GoogleAPIError, GoogleAuthError  # Beam's errors are OSErrors


def exists(path: str) -> bool:
    """Returns whether there is a file or folder of this path."""
    return os.path.exists(path) if on_disk(path) else _file_systems().exists(path)


def size(path: str) -> int:
    """Returns the size of a file in bytes."""
    return os.path.getsize(path) if on_disk(path) else _store().size(path)


def checksum(path: str) -> str:
    """Returns the file system's checksum and the time of change of a file, as one text.

    The checksum is a digest on gs://, the size on a disk.
    """
    return f"{_file_systems().checksum(path)} {_file_systems().last_updated(path)}"


def match(pattern: str) -> list[str]:
    """Returns the sorted paths of a folder's files whose names match a glob.

    Args:
      pattern: a path whose last component is a glob; the folder is taken literally.

    Returns:
      the paths; none where the folder does not exist.

    Raises:
      UserError: an object store does not list them. It has no folders that could be absent, so
        an error does not mean that there are no files.
    """
    name = pattern.rpartition("/")[2]
    folder = pattern.removesuffix(name)
    return sorted(folder + found for found in listing(folder) if fnmatch.fnmatchcase(found, name))


def walk(folder: str) -> list[str]:
    """Returns the sorted paths of all files in a folder and below it.

    Raises:
      UserError: an object store does not list them.
    """
    if not on_disk(folder):
        return sorted(path for path, _ in _objects(folder))
    return sorted(join(at, name) for at, _, names in os.walk(folder) for name in names)


def has_files(folder: str) -> bool:
    """Returns whether a folder or one below it has a file; reads no more of it than it needs.

    Raises:
      UserError: an object store does not list them.
    """
    if not on_disk(folder):
        return next(_objects(folder), None) is not None
    return any(names for _, _, names in os.walk(folder))


def folders(parent: str) -> list[str]:
    """Returns the sorted paths of the folders directly in a folder; none where it does not exist.

    Raises:
      UserError: an object store does not list them.
    """
    if on_disk(parent):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(parent) as all_:
            return sorted(join(parent, entry.name) for entry in all_ if entry.is_dir())
        return []
    start = join(parent, "")
    below = [path.removeprefix(start) for path, _ in _objects(parent)]
    return sorted({start + name.partition("/")[0] for name in below if "/" in name})


class Entry(NamedTuple):
    """The size and time of change of a file in a folder's listing.

    Attributes:
      size: in bytes; of a file on a disk that is being written, the bytes written so far.
      changed: time of the last change, in seconds since the epoch.
    """

    size: int
    changed: float


def listing(folder: str) -> dict[str, Entry]:
    """Returns the files directly in a folder by name; none where the folder does not exist.

    No file is opened. An object store lists a file only once it is complete.

    Raises:
      UserError: an object store does not list them.
    """
    if on_disk(folder):
        return _scan(folder)
    start = join(folder, "")
    found = {path.removeprefix(start): entry for path, entry in _objects(folder)}
    return {name: entry for name, entry in found.items() if "/" not in name}


def _objects(folder: str) -> Iterator[tuple[str, Entry]]:
    """Yields the path of each object below a folder of an object store.

    TensorFlow creates empty objects in place of folders: they are left out.
    """
    try:
        for path, about in _store().list_files(join(folder, ""), with_metadata=True):
            if not path.endswith("/"):
                yield path, Entry(*about)
    except unreadable() as error:
        raise UserError(f"{folder}: cannot be listed ({error}); check the path") from None


def _scan(folder: str) -> dict[str, Entry]:
    files = {}
    absent = contextlib.suppress(FileNotFoundError, NotADirectoryError)
    with absent, os.scandir(folder or ".") as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):  # renamed or removed since it was listed
                if entry.is_file():
                    stat = entry.stat()
                    files[entry.name] = Entry(stat.st_size, stat.st_mtime)
    return files


def open_read(path: str) -> IO[bytes]:
    """Opens a file for reading its bytes as stored, without decompression.

    Raises:
      UserError: there is no such file, or it may not be read.
    """
    try:
        return open(path, "rb") if on_disk(path) else _beam_file("open", path)
    except unreadable() as error:
        raise UserError(f"{path}: cannot be read ({error}); check the path") from None


def open_ranges(path: str) -> IO[bytes]:
    """Opens a file for reading a few short ranges of it.

    On gs://, Beam's reader fetches 16 MB for each read of a few bytes; this one fetches only the
    bytes that are read.

    Raises:
      UserError: there is no such file, or it may not be read.
    """
    if on_disk(path):
        return open_read(path)
    try:
        return _store().open(path, read_buffer_size=1)
    except unreadable() as error:
        raise UserError(f"{path}: cannot be read ({error}); check the path") from None


def read(path: str) -> bytes:
    """Returns the content of a file.

    Raises:
      UserError: there is no such file, or it may not be read.
    """
    with open_read(path) as file:
        return file.read()


def read_record(kind: type[T], path: str, remedy: str = "") -> T:
    """Reads a record from its JSON file.

    Args:
      kind: a dataclass, or another type hint that `json_record` supports.
      path: of the file.
      remedy: what the user can do about a file that cannot be read; '' for `kind.REMEDY`.

    Raises:
      UserError: there is no such file, or its content is not such a record.
    """
    return json_record.loads(kind, read(path), path, remedy)


class Writer:
    """A file that is being written; errors name the path that it will have.

    Args:
      file: the file, under its temporary name.
      path: for errors.
    """

    def __init__(self, file: IO[bytes], path: str):
        self._file, self._path = file, path

    def write(self, data: bytes) -> int:
        """Writes bytes; returns their number.

        Raises:
          UserError: the disk is full, or fails.
        """
        with _writing(self._path):
            return self._file.write(data)


@contextlib.contextmanager
def atomic(path: str) -> Iterator[Writer]:
    """Opens a file for writing under a temporary name and renames it to `path` once it is complete.

    The temporary name is unique, so two workers that write the same file at the same time leave
    one complete file. It has no leading dot, so that the file which a killed run left is visible
    in listings. The bytes are on the disk before the file has its name: a machine that loses its
    power leaves the whole file or none.

    Raises:
      UserError: the disk is full or fails, or no file of that name can be created.
    """
    temporary = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with _writing(path):
            file = _create(temporary)
        try:
            yield Writer(file, path)
            with _writing(path):
                _sync(file, path)
        finally:
            with _writing(path):
                file.close()
        rename(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def _sync(file: IO[bytes], path: str) -> None:
    """Has a disk store what was written; an object store does so when the file is closed."""
    if on_disk(path):
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    """Turns an error of a disk or an object store into a UserError that names a path."""
    try:
        yield
    except unreadable() as error:
        why = getattr(error, "strerror", None) or error
        if isinstance(error, OSError) and error.errno in FULL:
            raise UserError(f"{path}: {why}; make room and run the same command again") from None
        raise UserError(f"{path}: cannot be written ({why})") from None


def check_output(flag: str, path: str) -> None:
    """Checks the path of an output file before any work is done, and creates its folder.

    Raises:
      UserError: the path is a folder, or lies below a file.
    """
    if path.endswith("/") or (on_disk(path) and os.path.isdir(path)):
        raise UserError(f"{flag} {path}: expected the name of a file, found a folder")
    make_folder(path.rpartition("/")[0] or ".")


def rename(old: str, new: str) -> None:
    """Renames a file; on a disk also a folder.

    Raises:
      UserError: it cannot be renamed.
    """
    with _writing(new):
        if on_disk(old):
            os.rename(old, new)
        else:
            _file_systems().rename([old], [new])


def write(path: str, data: bytes | str) -> None:
    """Writes a file atomically; text as UTF-8."""
    with atomic(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def write_record(path: str, record: object) -> None:
    """Writes a record as indented JSON with sorted keys, which `read_record` reads."""
    write(path, json_record.dumps(record))


def remove(*paths: str) -> None:
    """Removes files and folders; paths that do not exist, or cannot be removed, are passed over."""
    for path in filter(on_disk, paths):
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.remove(path)
    if stored := [path for path in paths if not on_disk(path)]:
        with contextlib.suppress(UserError, *unreadable()):
            below = [found for path in stored for found, _ in _objects(path)]
            _store().delete_batch([*stored, *below])


def rename_folder(source: str, target: str, last: str) -> None:
    """Renames a folder.

    On a disk, the folder appears under its new name at once. An object store has no folders: the
    files are renamed one by one, the file `last` after all others.

    Args:
      source: path of the folder.
      target: its new path.
      last: name of the file that is renamed last.
    """
    if on_disk(source):
        rename(source, target)
        return
    names = sorted(listing(source))
    for some in ([name for name in names if name != last], [last]):
        _file_systems().rename([join(source, n) for n in some], [join(target, n) for n in some])


def remove_temporaries(folder: str) -> None:
    """Removes the incomplete files that a killed run left in a folder."""
    remove_temporaries_of(join(folder, ""))


def remove_temporaries_of(start: str) -> None:
    """Removes the incomplete files that a killed run left, of those whose paths begin so."""
    name = start.rpartition("/")[2]
    remove(*match(f"{start.removesuffix(name)}{glob.escape(name)}*.tmp"))


def make_folder(path: str) -> None:
    """Creates a local folder and those above it; does nothing for an object store.

    Raises:
      UserError: the folder cannot be created.
    """
    if not on_disk(path):
        return
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made a folder ({error.strerror})") from None


def looks_like_pattern(path: str) -> bool:
    """Returns whether TensorFlow may take a path for a pattern when it loads a SavedModel."""
    return glob.has_magic(path)


def on_disk(path: str) -> bool:
    """Returns whether a path lies in this machine's file system and not in an object store."""
    return "://" not in path


def _store():
    """Returns Beam's client of Cloud Storage; none of the methods used here expands a pattern."""
    from apache_beam.io.gcp import gcsio

    return gcsio.GcsIO()


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
