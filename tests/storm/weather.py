"""What goes wrong with a server's answers, at random, for as long as the weather is bad."""

from __future__ import annotations

import random
import threading

from tests.pipelines.download.faults import FROM_START, ON_RESUMING, SPOILING, Fault

PASSING = [fault for fault in Fault if fault not in (*SPOILING, *FROM_START)]
SPOILS = 0.1  # of the faults, the share after which a file is worth nothing


class Weather:
    """Says what goes wrong with a request, for `faults.serve`; nothing at first.

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
