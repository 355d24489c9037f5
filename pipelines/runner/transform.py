"""What the PTransforms that are dataclasses have in common"""

from __future__ import annotations

import apache_beam as beam


class Transform(beam.PTransform):
    """A PTransform whose subclasses are dataclasses: their fields are what it is applied with."""

    def __post_init__(self):
        super().__init__()  # which a dataclass' own __init__ does not call
