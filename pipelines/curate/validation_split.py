"""Which kept images go to validation: a choice by hash, the same on every run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.storage.hashing import order_key

MORE_THAN = 3  # images of a landmark before one of them can be spared


def choose_validation(train: pd.DataFrame, share: float | None, seed: int) -> np.ndarray:
    """Which kept train images go to validation.

    Args:
      train: columns id, landmark_id. All kept images of a landmark are in it.
      share: of the images, chosen alone; None takes one of each landmark that
        has more than three.
      seed: of the choice.

    Returns:
      [rows] bool. No landmark loses its last train image.
    """
    train = train.reset_index(drop=True).assign(order=order_key(train["id"], seed))
    by_landmark = train.groupby("landmark_id")
    rank = train.sort_values(["order", "id"]).groupby("landmark_id").cumcount()
    first = rank.reindex(train.index) == 0
    if share is None:
        chosen = first & (by_landmark["id"].transform("size") > MORE_THAN)
    else:  # the first in order would be chosen first: it is the one that stays if all are
        limit = np.uint64(min(share * 2.0**64, 2.0**64 - 2048))
        chosen = train["order"] < limit
        everyone = chosen.groupby(train["landmark_id"]).transform("all")
        chosen &= ~(everyone & first)
    return chosen.to_numpy(bool)
