"""Which images are the same photo, and which of them stays. Pure functions over columns."""

from __future__ import annotations

import pandas as pd

from pipelines.schema import Reason


def drop_exact_duplicates(images: pd.DataFrame) -> pd.DataFrame:
    """Marks the images whose bytes another image has too.

    A train image that is in test goes. Among train images of one landmark the
    survivor is the one in the clean list, then the smallest id. A photo under
    several landmarks stays with the one landmark that the clean list gives it,
    or goes altogether.

    Args:
      images: columns id, split, landmark_id, clean, sha256, reason,
        duplicate_of. All images of a sha256 are in it.

    Returns:
      the same rows with `reason` and `duplicate_of` set where an image goes.
    """
    open_rows = images[images["reason"].isna()]
    groups = open_rows[open_rows["sha256"].duplicated(keep=False)]
    if groups.empty:
        return images
    groups = groups.assign(test=groups["split"] == "test").sort_values(
        ["sha256", "test", "clean", "id"], ascending=[True, False, False, True]
    )
    verdicts = _verdicts(groups)
    images = images.copy()
    for column in ("reason", "duplicate_of"):
        images.loc[verdicts.index, column] = verdicts[column]
    return images


def _verdicts(groups: pd.DataFrame) -> pd.DataFrame:
    """Reason and duplicate_of of the train images that go."""
    same = groups.groupby("sha256")
    in_test = same["test"].transform("any")
    landmarks = groups["landmark_id"]
    several = same["landmark_id"].transform("nunique") > 1
    cleans = landmarks.where(groups["clean"]).groupby(groups["sha256"]).transform("nunique")
    first = same["id"].transform("first")
    second = same["id"].transform(lambda ids: ids.iloc[1])
    survives = (groups["id"] == first) & (~several | (cleans == 1))

    verdicts = pd.DataFrame({"reason": str(Reason.DUPLICATE), "duplicate_of": first})
    verdicts = verdicts.astype(groups[["reason", "duplicate_of"]].dtypes)
    conflict = several & ((landmarks != same["landmark_id"].transform("first")) | (cleans != 1))
    verdicts.loc[conflict, "reason"] = str(Reason.LABEL_CONFLICT)
    verdicts.loc[in_test, "reason"] = str(Reason.IN_TEST)
    itself = verdicts["duplicate_of"] == groups["id"]
    verdicts["duplicate_of"] = verdicts["duplicate_of"].where(~itself, second)
    return verdicts[~groups["test"] & (in_test | ~survives)]
