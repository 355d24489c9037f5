"""Names the paths of GLDv2's published files, of Kaggle's, and of this project's output."""

from __future__ import annotations

import dataclasses

from pipelines.common.schema import DATASET

# ---- a source in GLDv2's published layout ---------------------------------------------------

MAX_ARCHIVES = 1000  # three digits


def archive(split: str, number: int) -> str:
    """Returns the path of a tar, relative to the source."""
    return f"{split}/images_{number:03d}.tar"


def md5(split: str, number: int) -> str:
    """Returns the path of a tar's published md5, relative to the source."""
    return f"md5sum/{split}/md5.images_{number:03d}.txt"


TRAIN_CSV = "metadata/train.csv"
CLEAN_CSV = "metadata/train_clean.csv"
TEST_CSV = "metadata/test.csv"
ATTRIBUTION_CSV = "metadata/train_attribution.csv"
CATEGORY_CSVS = (  # the first has all columns of the second, and more
    "metadata/train_label_to_hierarchical.csv",
    "metadata/train_label_to_category.csv",
)

# ---- a source in Kaggle's layout, or an extracted folder ------------------------------------

KAGGLE_TRAIN_CSV = "train.csv"
KAGGLE_TEST_CSV = "sample_submission.csv"


def photo(split: str, image_id: str) -> str:
    """Returns the path of an image file, relative to the source."""
    return f"{split}/{image_id[0]}/{image_id[1]}/{image_id[2]}/{image_id}.jpg"


# ---- the output of the commands -----------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Output:
    """The paths under an output folder.

    Attributes:
      root: the folder that `--output` names, local or gs://.
    """

    root: str

    def staged(self, unit: str) -> str:
        """Returns the TFRecord file of a unit's normalized photos."""
        return join(self.root, "staged", f"{unit}.tfrecord")

    def done(self, unit: str) -> str:
        """Returns the JSON file of a unit's counts, digest and parameters, written last."""
        return join(self.root, "staged", f"{unit}.done.json")

    def facts(self, unit: str) -> str:
        """Returns the Parquet file of a unit's facts, a row for each image."""
        return join(self.root, "facts", f"{unit}.parquet")

    def rejects(self, unit: str) -> str:
        """Returns the JSON Lines file of a unit's rejected images."""
        return join(self.root, "rejects", f"{unit}.jsonl")

    def pairs(self, name: str) -> str:
        """Returns a file of the folder with pairs of similar photos; done.json comes last."""
        return join(self.root, "pairs", name)

    @property
    def decisions(self) -> str:
        """Returns the folder of decisions."""
        return join(self.root, "decisions")

    @property
    def decision_files(self) -> str:
        """Returns a pattern of the Parquet files of decisions."""
        return join(self.decisions, "decisions-*.parquet")

    @property
    def decisions_done(self) -> str:
        """Returns the JSON file of curate's counts and parameters, written last."""
        return join(self.decisions, "done.json")

    @property
    def transform_fn(self) -> str:
        """Returns the folder of TFT's transform function, with the vocabulary."""
        return join(self.root, "transform_fn")

    @property
    def labels(self) -> str:
        """Returns the CSV of classes, landmark ids and counts of images."""
        return join(self.decisions, "labels.csv")

    @property
    def dataset(self) -> str:
        """Returns the folder of all versions, which `gld2 train --data` takes."""
        return join(self.root, "dataset")

    def version(self, version: str) -> str:
        """Returns the folder of a published version."""
        return join(self.dataset, DATASET, version)

    @property
    def report(self) -> str:
        """Returns the folder of the report's pages."""
        return join(self.root, "report")


def shard_suffix(number: int, parts: int) -> str:
    """Returns the suffix of a sharded file's name, SSSSS-of-NNNNN, as TensorFlow's tools do."""
    return f"{number:05d}-of-{parts:05d}"


def shard(split: str, number: int, shards: int) -> str:
    """Returns the name of a shard's file."""
    return f"{DATASET}-{split}.tfrecord-{shard_suffix(number, shards)}"


def join(root: str, *parts: str) -> str:
    """Returns a path below `root`, local or URL. Parts never come from an archive's names."""
    return "/".join([root.rstrip("/") or "/", *parts])


def beside_metrics(path: str, name: str) -> str:
    """Returns the path of a picture that belongs to a file of metrics, in the same folder.

    Those of metrics.json have plain names, others begin with the name of the metrics' file, so that
    two files of metrics in one folder have pictures of their own.
    """
    folder, slash, file = path.rpartition("/")
    stem = file.removesuffix(".json")
    return f"{folder}{slash}{'' if stem == 'metrics' else f'{stem}.'}{name}"
