"""EfficientNet's compound scaling: width, depth and resolution of a network of a given phi.

The paper (arxiv.org/abs/1905.11946, equation 3) scales all three of B0 by one number. Keras then
rounds channels to multiples of 8, and the repeats of a block up, as it builds the network.

B1 to B7 were rounded by hand: their widths and resolutions are those of phi 0, 0.5, 1, 2, 3.5, 5, 6
and 7 to within 5 %, but the deeper ones have up to 14 % fewer blocks than these phi give. They are
therefore listed in a table. B0 is exactly phi 0, and B2 is phi 1 except for its resolution.
"""

from __future__ import annotations

import dataclasses

DEPTH, WIDTH, RESOLUTION = 1.2, 1.1, 1.15  # the paper's alpha, beta and gamma
COMPOUND = "efficientnet"  # the backbone that --phi scales
_RESOLUTION_STEP = 4  # each published resolution is a multiple of it


@dataclasses.dataclass(frozen=True)
class Scale:
    """The scale of a network with B0's layout.

    Attributes:
      width: factor on B0's channels.
      depth: factor on B0's repeats of each block.
      resolution: side of the input, pixels.
      dropout: share of the features dropped before the classifier in training.
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
    """Returns the scale with about 2^phi times B0's multiply-adds; a negative phi shrinks B0.

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
    """Returns a network's native input size, pixels: as published, or as phi scales it.

    Args:
      backbone: one of config.BACKBONES.
      phi: compound scaling; it counts for `efficientnet` alone.
    """
    if backbone == COMPOUND:
        return compound(phi).resolution
    return PUBLISHED.get(backbone, B0).resolution  # the other families use 224, as B0 does
