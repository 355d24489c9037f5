"""The base class of PTransforms that are dataclasses."""

from __future__ import annotations

import apache_beam as beam


class Transform(beam.PTransform):
    """A PTransform whose subclasses are dataclasses; their fields are its parameters."""

    def __post_init__(self):
        super().__init__()  # not called by the __init__ of a dataclass
