"""How units are worked on"""

from __future__ import annotations

import dataclasses

from pipelines.download.rate_limit import Politeness


@dataclasses.dataclass(frozen=True)
class Effort:
    """How a unit is worked on; no byte of the output depends on it.

    Attributes:
      attempts: fetches of a tar that breaks off or does not fit its digest.
      threads: that decode, in each worker process.
      politeness: how servers are asked for single photos; None asks none.
      retry_rejected: try again what a finished unit rejected for a passing reason.
    """

    attempts: int = 3
    threads: int = 1
    politeness: Politeness | None = None
    retry_rejected: bool = False
