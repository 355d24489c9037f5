"""Finds the version folders of a dataset and sorts them, the newest first."""

from __future__ import annotations

import re
from collections.abc import Iterable

# As in --version of gld2 shard, or with fewer or more numbers. The folder of an unfinished version
# has ".incomplete" appended to its name and does not match.
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*\Z")


def newest_first(folders: Iterable[str]) -> list[str]:
    """Returns the version folders, the newest first (1.10.0 before 1.9.0), without other folders.

    Args:
      folders: names or paths; the part after the last slash is compared.
    """
    return sorted((folder for folder in folders if _VERSION.match(_name(folder))), key=_order)[::-1]


def _name(folder: str) -> str:
    return folder.rpartition("/")[2]


def _order(folder: str) -> tuple[list[int], str]:
    """Returns the sort key: the numbers, then the path, for spellings such as 1.0.0 and 1.00.0."""
    return [int(number) for number in _name(folder).split(".")], folder
