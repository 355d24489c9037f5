"""Files below a folder that fail, and processes that die, at a chosen operation.

It takes the place of `open`, of `os.rename` and their like in a process, so that the code under
test is the code that users run. The operations of all processes of a run are counted together.
"""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
import enum
import errno
import functools
import io
import json
import os
import pathlib
import random
import signal
from collections.abc import Callable, Mapping
from typing import Any

VARIABLE = "GLD2_STORM"  # in the environment of a run's processes: a `Disk` as JSON
REAL_OPEN, REAL_LISTDIR, REAL_SCANDIR = builtins.open, os.listdir, os.scandir
REAL_FSYNC = os.fsync


class Kind(enum.StrEnum):
    """What happens at an operation."""

    NOTHING = "nothing"
    KILL = "kill"  # before it
    KILL_AFTER = "kill_after"
    KILL_HALF = "kill_half"  # half of the bytes are written
    POWER = "power"  # the machine loses its power, and some files what was not yet on the disk
    FULL = "full"  # no space is left
    READ_ONLY = "read_only"
    FAILS = "fails"  # an input or output error


ERRORS = {Kind.FULL: errno.ENOSPC, Kind.READ_ONLY: errno.EROFS, Kind.FAILS: errno.EIO}
GROWING = ("create", "write", "mkdir")  # what a full disk refuses
CHANGING = ("create", "rename", "remove", "mkdir")  # what a disk refuses that is read-only


@dataclasses.dataclass(frozen=True)
class Disk:
    """What goes wrong with the files of a run.

    Attributes:
      root: the folder whose files are meant.
      log: a file that has a byte for each operation so far.
      kind: what happens.
      at: number of the operation at which it begins.
      lasts: number of operations for which it lasts.
      order: seed of the order in which folders are listed.
    """

    root: str
    log: str
    kind: Kind
    at: int
    lasts: int
    order: int

    def install(self) -> None:
        """Has this process's operations go through here."""
        builtins.open = io.open = self._open  # type: ignore[assignment]
        for name, what in (
            *(("rename", "rename"), ("replace", "rename"), ("remove", "remove")),
            *(("unlink", "remove"), ("mkdir", "mkdir"), ("rmdir", "remove")),
        ):
            setattr(os, name, self._through(what, getattr(os, name)))
        if self.kind is Kind.POWER:
            self.unsynced.mkdir(exist_ok=True)
            os.fsync = self._fsync  # type: ignore[assignment]
        os.listdir = self._listdir  # type: ignore[assignment]
        os.scandir = self._scandir  # type: ignore[assignment]

    def environment(self) -> dict[str, str]:
        """What tells a process that is started anew."""
        return {VARIABLE: json.dumps(dataclasses.asdict(self))}

    def do(self, what: str, operation: Callable[[], Any], half: Callable[[], Any]) -> Any:
        """Does an operation, or what befalls it.

        Args:
          what: create, read, write, rename, remove or mkdir.
          operation: does it.
          half: does half of it.
        """
        number = self._count()
        if not self.at <= number < self.at + self.lasts:
            return operation()
        if self.kind in (Kind.KILL, Kind.KILL_HALF):
            if self.kind is Kind.KILL_HALF:
                half()
            os.killpg(0, signal.SIGKILL)
        if self.kind is Kind.POWER:
            self._lose_power()
        if self._refuses(what):
            code = ERRORS[self.kind]
            raise OSError(code, os.strerror(code))
        found = operation()
        if self.kind is Kind.KILL_AFTER:
            os.killpg(0, signal.SIGKILL)
        return found

    @property
    def unsynced(self) -> pathlib.Path:
        """A folder with an entry for each file that was written and is not yet on the disk."""
        return pathlib.Path(f"{self.log}.unsynced")

    def _fsync(self, number: int) -> None:
        REAL_FSYNC(number)
        (self.unsynced / str(os.fstat(number).st_ino)).unlink(missing_ok=True)

    def _lose_power(self) -> None:
        lost = set(REAL_LISTDIR(self.unsynced))
        for folder, _, names in os.walk(self.root):
            for path in (os.path.join(folder, name) for name in names):
                chance = random.Random(f"{self.order} {os.path.relpath(path, self.root)}")
                with contextlib.suppress(FileNotFoundError):  # renamed by another process
                    if str(os.stat(path).st_ino) in lost and chance.random() < 0.5:
                        os.truncate(path, 0)
        os.killpg(0, signal.SIGKILL)

    def _refuses(self, what: str) -> bool:
        if self.kind is Kind.FULL:
            return what in GROWING
        if self.kind is Kind.READ_ONLY:
            return what in CHANGING
        return self.kind is Kind.FAILS

    def _count(self) -> int:
        """The number of an operation, counted over all processes."""
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(log, b".")
            return os.lseek(log, 0, os.SEEK_CUR) - 1
        finally:
            os.close(log)

    def _is_below(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.root)

    def _open(self, file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if not self._is_below(file):
            return REAL_OPEN(file, mode, *rest, **more)
        nothing = lambda: None  # noqa: E731
        if mode != "wb":
            return self.do("read", lambda: REAL_OPEN(file, mode, *rest, **more), nothing)
        return self.do("create", lambda: _Writer(file, self), nothing)

    def _through(self, what: str, real: Callable) -> Callable:
        @functools.wraps(real)
        def operation(path: Any, *rest: Any, **more: Any) -> Any:
            if not self._is_below(path):
                return real(path, *rest, **more)
            return self.do(what, lambda: real(path, *rest, **more), lambda: None)

        return operation

    def _listdir(self, path: Any = ".") -> list:
        return self._shuffled(REAL_LISTDIR(path), path)

    def _scandir(self, path: Any = ".") -> _Entries:
        with REAL_SCANDIR(path) as found:
            return _Entries(self._shuffled(list(found), path))

    def _shuffled(self, found: list, path: Any) -> list:
        random.Random(f"{self.order} {path}").shuffle(found)
        return found


class _Writer(io.BufferedWriter):
    """A file that is written; each write is an operation."""

    def __init__(self, path: Any, disk: Disk):
        super().__init__(io.FileIO(path, "wb"))
        if disk.kind is Kind.POWER:
            (disk.unsynced / str(os.fstat(self.fileno()).st_ino)).touch()
        self._disk = disk

    def write(self, data: Any) -> int:
        def half() -> None:
            super(_Writer, self).write(bytes(data)[: len(bytes(data)) // 2])
            self.flush()

        return self._disk.do("write", lambda: super(_Writer, self).write(data), half)


class _Entries(contextlib.ExitStack):
    """A folder's entries, as os.scandir gives them; they may be closed."""

    def __init__(self, entries: list[os.DirEntry]):
        super().__init__()
        self._entries = iter(entries)

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> os.DirEntry:
        return next(self._entries)


def install_from(environment: Mapping[str, str]) -> None:
    """Installs what the environment tells, if it tells anything."""
    if found := environment.get(VARIABLE):
        values = json.loads(found)
        Disk(**values | {"kind": Kind(values["kind"])}).install()
