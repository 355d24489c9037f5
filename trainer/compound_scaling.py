"""EfficientNet's compound scaling: how wide, deep and large a network of a given phi is.

The paper (arxiv.org/abs/1905.11946, equation 3) scales B0 in all three by one number. Channels are
then rounded to multiples of 8 and repeats of a block up, both by Keras as it builds a network.

B1 to B7 were rounded by hand: their widths and resolutions are those of phi 0, 0.5, 1, 2, 3.5, 5, 6
and 7 to within 5 %, but the deeper ones have up to 14 % fewer blocks than these phi give. So they
stand in a table. B0 is phi 0 exactly, and B2 is phi 1 but for its resolution.
"""

from __future__ import annotations

import dataclasses

DEPTH, WIDTH, RESOLUTION = 1.2, 1.1, 1.15  # the paper's alpha, beta and gamma
COMPOUND = "efficientnet"  # the backbone that takes a phi
_RESOLUTION_STEP = 4  # each published resolution is a multiple of it


@dataclasses.dataclass(frozen=True)
class Scale:
    """A network of B0's layout.

    Attributes:
      width: factor of B0's channels.
      depth: factor of B0's repeats of each block.
      resolution: side of the input, pixels.
      dropout: share of the features left out before the classifier while training.
    """

    width: float
    depth: float
    resolution: int
    dropout: float


B0 = Scale(1.0, 1.0, 224, 0.2)
PUBLISHED = {
    "efficientnet_b0": B0,
    "efficientnet_b1": Scale(1.0, 1.1, 240, 0.2),
    "efficientnet_b2": Scale(1.1, 1.2, 260, 0.3),
    "efficientnet_b3": Scale(1.2, 1.4, 300, 0.3),
    "efficientnet_b4": Scale(1.4, 1.8, 380, 0.4),
    "efficientnet_b5": Scale(1.6, 2.2, 456, 0.4),
    "efficientnet_b6": Scale(1.8, 2.6, 528, 0.5),
    "efficientnet_b7": Scale(2.0, 3.1, 600, 0.5),
}


def compound(phi: float) -> Scale:
    """B0 with about 2^phi times its multiply-adds; a negative phi shrinks it.

    The paper raises dropout in a straight line from B0's 0.2 to B7's 0.5.
    """
    side = B0.resolution * RESOLUTION**phi
    return Scale(
        width=WIDTH**phi,
        depth=DEPTH**phi,
        resolution=_RESOLUTION_STEP * round(side / _RESOLUTION_STEP),
        dropout=min(max(B0.dropout + 0.3 * phi / 7, 0.0), 0.5),
    )


def resolution(backbone: str, phi: float = 0.0) -> int:
    """The side of a network's own input, pixels: what it was published with, or phi gives.

    Args:
      backbone: one of config.BACKBONES.
      phi: of `efficientnet`.
    """
    if backbone == COMPOUND:
        return compound(phi).resolution
    return PUBLISHED.get(backbone, B0).resolution  # the other families have 224 too
