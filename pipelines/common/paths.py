"""Where things are: GLDv2's published paths, and this project's own."""

from __future__ import annotations

import dataclasses

from pipelines.common.schema import DATASET

# ---- a source in GLDv2's published layout ---------------------------------------------------

MAX_ARCHIVES = 1000  # three digits


def archive(split: str, number: int) -> str:
    return f"{split}/images_{number:03d}.tar"


def md5(split: str, number: int) -> str:
    return f"md5sum/{split}/md5.images_{number:03d}.txt"


TRAIN_CSV = "metadata/train.csv"
CLEAN_CSV = "metadata/train_clean.csv"
TEST_CSV = "metadata/test.csv"
ATTRIBUTION_CSV = "metadata/train_attribution.csv"
CATEGORY_CSVS = (  # the first says all that the second does, and more
    "metadata/train_label_to_hierarchical.csv",
    "metadata/train_label_to_category.csv",
)

# ---- a source in Kaggle's layout, or an extracted folder ------------------------------------

KAGGLE_TRAIN_CSV = "train.csv"
KAGGLE_TEST_CSV = "sample_submission.csv"


def photo(split: str, image_id: str) -> str:
    return f"{split}/{image_id[0]}/{image_id[1]}/{image_id[2]}/{image_id}.jpg"


# ---- what a run leaves ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Output:
    """Paths under the folder that `--output` names.

    Attributes:
      root: that folder, local or gs://.
    """

    root: str

    def staged(self, unit: str) -> str:
        """TFRecords of a unit's normalised photos."""
        return join(self.root, "staged", f"{unit}.tfrecord")

    def done(self, unit: str) -> str:
        """Written last: the unit's counts, digest and parameters."""
        return join(self.root, "staged", f"{unit}.done.json")

    def facts(self, unit: str) -> str:
        return join(self.root, "facts", f"{unit}.parquet")

    def rejects(self, unit: str) -> str:
        return join(self.root, "rejects", f"{unit}.jsonl")

    def pairs(self, name: str) -> str:
        """Photos that look alike; of each hash, a `done.json` comes last."""
        return join(self.root, "pairs", name)

    @property
    def decisions(self) -> str:
        return join(self.root, "decisions")

    @property
    def decisions_done(self) -> str:
        """Written last: curate's counts and parameters."""
        return join(self.root, "decisions", "done.json")

    @property
    def transform_fn(self) -> str:
        return join(self.root, "transform_fn")

    @property
    def labels(self) -> str:
        return join(self.root, "decisions", "labels.csv")

    @property
    def dataset(self) -> str:
        """The folder that `gld2 train --data` takes."""
        return join(self.root, "dataset")

    def version(self, version: str) -> str:
        return join(self.root, "dataset", DATASET, version)

    @property
    def report(self) -> str:
        return join(self.root, "report")


def part(number: int, parts: int) -> str:
    """The tail of a sharded file's name, as TensorFlow's tools have it."""
    return f"{number:05d}-of-{parts:05d}"


def shard(split: str, number: int, shards: int) -> str:
    return f"{DATASET}-{split}.tfrecord-{part(number, shards)}"


def join(root: str, *parts: str) -> str:
    """A path below `root`, whatever its scheme. The parts are ours, never an archive's."""
    return "/".join([root.rstrip("/") or "/", *parts])


def decision_files(output: Output) -> str:
    return join(output.decisions, "decisions-*.parquet")
