"""Chooses the validation images by a hash of their ids, so that every run chooses the same."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.storage.hashing import order_key

MORE_THAN = 3  # images that a landmark needs more of to give one to validation


def choose_validation(train: pd.DataFrame, share: float | None, seed: int) -> np.ndarray:
    """Marks the kept train images that go to validation.

    Args:
      train: columns id, landmark_id; with all kept images of each landmark in it.
      share: of the images, each chosen independently; None takes one image of each
        landmark that has more than MORE_THAN.
      seed: of the hash.

    Returns:
      [rows] bool. No landmark loses its last train image.
    """
    train = train.reset_index(drop=True).assign(order=order_key(train["id"], seed))
    by_landmark = train.groupby("landmark_id")
    rank = train.sort_values(["order", "id"]).groupby("landmark_id").cumcount()
    first = rank.reindex(train.index) == 0
    if share is None:
        chosen = first & (by_landmark["id"].transform("size") > MORE_THAN)
    else:  # where all images of a landmark are chosen, the first in order stays in train
        # A share of 1 is bounded by the largest float below 2^64.
        limit = np.uint64(min(share * 2.0**64, 2.0**64 - 2048))
        chosen = train["order"] < limit
        everyone = chosen.groupby(train["landmark_id"]).transform("all")
        chosen &= ~(everyone & first)
    return chosen.to_numpy(bool)
