"""Writes the files that TFDS and DELF read beside the shards. No Beam."""

from __future__ import annotations

import csv
import io
import pathlib
import tempfile
from collections.abc import Iterable, Sequence

from pipelines.common import paths, quiet, schema
from pipelines.common.labels import Label
from pipelines.common.records.stats import Stats
from pipelines.common.schema import DATASET, OUTPUT_SPLITS
from pipelines.storage import filesystem

RELABELING_HEADER = ("new_label", "old_label")  # of DELF: our label, GLDv2's landmark_id
HOMEPAGE = "https://github.com/cvdfoundation/google-landmark"
DESCRIPTION = """Google Landmarks v2, deduplicated, filtered and normalised by gld2. README.md says
how. A photo has one label and one landmark_id, a test photo none: both are lists."""
CITATION = """@inproceedings{weyand2020GLDv2,
  title={Google Landmarks Dataset v2 - A Large-Scale Benchmark for Instance-Level Recognition
    and Retrieval},
  author={Weyand, T. and Araujo, A. and Cao, B. and Sim, J.},
  booktitle={Proc. CVPR},
  year={2020}
}"""


def write_metadata(folder: str, stats: Stats, labels: Sequence[Label]) -> None:
    """Writes the files that `tfds.builder_from_directory` needs, and DELF's relabeling.csv.

    The shards are not read: their counts are known. TFDS writes to a local folder, whose files
    are then copied: its own access to gs:// would use other credentials than Beam's.

    Args:
      folder: where the shards are.
      stats: the content of stats.json.
      labels: the rows of labels.csv.
    """
    with tempfile.TemporaryDirectory() as local:
        _info(local, stats, labels).write_to_directory(local)
        for path in sorted(pathlib.Path(local).iterdir()):
            filesystem.write(paths.join(folder, path.name), path.read_bytes())
    filesystem.write(paths.join(folder, "relabeling.csv"), format_relabeling(labels))


def format_relabeling(labels: Iterable[Label]) -> str:
    """Returns the text of relabeling.csv, with the labels in the order given."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RELABELING_HEADER)
    writer.writerows((label.label, label.landmark_id) for label in labels)
    return out.getvalue()


def _info(local: str, stats: Stats, labels: Iterable[Label]):
    """Returns a tfds.core.DatasetInfo that holds features, splits and counts."""
    with quiet.tensorflow():
        import tensorflow_datasets as tfds

        features = _features([str(label.landmark_id) for label in labels], stats.attribution)
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=DATASET, version=tfds.core.Version(stats.version), data_dir=local, module_name=""
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        description=DESCRIPTION,
        features=features,
        supervised_keys=(schema.ENCODED, schema.LABEL),
        homepage=HOMEPAGE,
        citation=CITATION,
    )
    info.set_file_format("tfrecord")
    counts = [(name, stats.splits[name]) for name in OUTPUT_SPLITS if name in stats.splits]
    splits = [tfds.core.SplitInfo(name, c.shard_lengths, c.bytes) for name, c in counts]
    info.set_splits(tfds.core.splits.SplitDict(splits))
    return info


def _features(names: list[str], with_attribution: bool):
    """Returns a tfds.features.FeaturesDict of the records' keys.

    Args:
      names: of the labels, in their order.
      with_attribution: whether train's records hold attributions.
    """
    import numpy as np
    from tensorflow_datasets import features as tf

    texts = (schema.IMAGE_ID, schema.COLORSPACE, schema.FORMAT)
    numbers = (schema.HEIGHT, schema.WIDTH, schema.CHANNELS)
    credits = schema.ATTRIBUTION.values() if with_attribution else ()
    # A ClassLabel may not be absent, as it is on test, but a list of them may be empty. An
    # optional Scalar may be absent, but it has no names, and its "none" is the smallest int64.
    return tf.FeaturesDict(
        {schema.ENCODED: tf.Image(shape=(None, None, 3), encoding_format="jpeg")}
        | {key: tf.Text() for key in texts}
        | {key: tf.Scalar(np.int64) for key in numbers}
        | {schema.LABEL: tf.Sequence(tf.ClassLabel(names=names))}
        | {schema.LANDMARK_ID: tf.Sequence(tf.Scalar(np.int64))}
        # features.json does not store that a Text is optional; of a Scalar it does.
        | {key: tf.Scalar(np.str_, optional=True) for key in credits}
    )
