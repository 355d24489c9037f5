"""How far a run has come"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """How far a run has come.

    Attributes:
      epoch: epochs that are over.
      step: steps of the next one that are over.
    """

    epoch: int
    step: int = 0


START = Place(0)
