"""The position that a training run has reached, in epochs and steps."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, order=True)
class TrainingPosition:
    """A position in a training run; positions are ordered in time.

    Attributes:
      epoch: number of finished epochs.
      step: number of finished steps of the epoch after them.
    """

    epoch: int
    step: int = 0


START = TrainingPosition(0)
