"""Which folders are versions of a dataset, and which of them is the newest"""

from __future__ import annotations

import re
from collections.abc import Iterable

# As --version of gld2 shard has it, or with fewer or more numbers. A folder that is still written
# has ".incomplete" behind its version and is none.
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*\Z")


def newest_first(folders: Iterable[str]) -> list[str]:
    """Sorts version folders, the newest first (1.10.0 before 1.9.0), and leaves others out.

    Args:
      folders: their names or paths; only what follows the last slash is looked at.
    """
    return sorted((folder for folder in folders if _VERSION.match(_name(folder))), key=_order)[::-1]


def _name(folder: str) -> str:
    return folder.rpartition("/")[2]


def _order(folder: str) -> tuple[list[int], str]:
    """By numbers; the path only decides between two spellings, such as 1.0.0 and 1.00.0."""
    return [int(number) for number in _name(folder).split(".")], folder
