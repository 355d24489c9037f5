"""Renders figures as image files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # takes a second to import: callers import it late


def png(figure: Figure, dpi: int = 110) -> bytes:
    """Returns a figure as PNG, without matplotlib's version in its metadata.

    Args:
      figure: is drawn; its size is in inches.
      dpi: pixels for each inch.
    """
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()
