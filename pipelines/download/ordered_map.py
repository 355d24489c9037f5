"""Calls a function in threads; gives the results in order, with few of them in memory."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

WINDOW = 4  # items in flight for each thread: few wait for a slow one, and memory stays bounded

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    pool: ThreadPoolExecutor, threads: int, function: Callable[[T], R], items: Iterable[T]
) -> Iterator[R]:
    """Yields `function(item)` of each item in order; reads WINDOW items for each thread ahead.

    Args:
      pool: runs the calls.
      threads: of the pool.
      function: is called in the pool's threads.
      items: are read in the thread that iterates.
    """
    window: collections.deque[Future[R]] = collections.deque()
    for item in items:
        window.append(pool.submit(function, item))
        if len(window) >= WINDOW * threads:
            yield window.popleft().result()
    while window:
        yield window.popleft().result()
