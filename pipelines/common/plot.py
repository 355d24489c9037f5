"""Plots as files"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # which takes a second to import: callers do it late


def png(figure: Figure, dpi: int = 110) -> bytes:
    """A figure as PNG, without matplotlib's version in it.

    Args:
      figure: what is drawn; its size is in inches.
      dpi: pixels for each of them.
    """
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()
