"""A server that misbehaves at random, for as long as the weather is bad."""

from __future__ import annotations

import contextlib
import pathlib
import random
import threading
from collections.abc import Iterator

from pipelines.sample import http_server
from tests.pipelines.download.faults import FROM_START, ON_RESUMING, SPOILING, Fault, Faulty

PASSING = [fault for fault in Fault if fault not in (*SPOILING, *FROM_START)]
SPOILS = 0.1  # of the faults, the share after which a file is worth nothing


class Weather:
    """Says what goes wrong with a request; takes the place of a `faults.Schedule`.

    Attributes:
      rate: share of requests that go wrong.
    """

    def __init__(self, seed: int):
        self.rate = 0.0
        self._chance = random.Random(f"weather {seed}")
        self._lock = threading.Lock()

    def take(self, path: str, resuming: bool) -> Fault | None:
        """The fault of a request, of those that fit it."""
        with self._lock:
            if self._chance.random() >= self.rate:
                return None
            wanted = [*SPOILING, *FROM_START] if self._chance.random() < SPOILS else PASSING
            others = FROM_START if resuming else ON_RESUMING
            if path.endswith(".csv"):  # nobody publishes their digests
                others = (*others, Fault.WRONG_BODY)
            return self._chance.choice([fault for fault in wanted if fault not in others])


@contextlib.contextmanager
def serve(root: pathlib.Path, seed: int) -> Iterator[tuple[str, Weather]]:
    """Serves a folder; gives its URL and its weather, which is calm at first."""
    weather = Weather(seed)
    handler = type("Weathered", (Faulty,), {"schedule": weather})
    with http_server.serve(root, handler=handler) as url:
        yield url, weather
