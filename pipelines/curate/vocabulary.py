"""Landmark ids -> labels, by a tensorflow-transform vocabulary with a frequency threshold."""

from __future__ import annotations

import dataclasses

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.common import paths, quiet
from pipelines.runner.transform import Transform
from pipelines.storage import filesystem

# tensorflow and tft are imported where they are used: they take four seconds,
# and --help, download and shard do without.

FILENAME = "landmarks"
FEATURE = "landmark_id"
# TFT orders equally frequent keys from the largest text down. Counting ids down
# from here, at equal width, makes that the order of landmark ids upwards.
COUNT_DOWN = 10**18
WIDTH = 18
ARROW = pa.schema([(FEATURE, pa.list_(pa.int64()))])


@dataclasses.dataclass(frozen=True)
class Labels:
    """Maps landmark ids to labels.

    Attributes:
      landmark_ids: [classes] int64, of each label in turn.
    """

    landmark_ids: np.ndarray

    def lookup(self, landmark_ids: pd.Series) -> pd.Series:
        """[rows] int64, null for a landmark that is not in the vocabulary."""
        index = pd.Index(self.landmark_ids)
        found = pd.array(index.get_indexer(landmark_ids.fillna(-1)), dtype="int64[pyarrow]")
        labels = pd.Series(found, landmark_ids.index)
        return labels.where(labels >= 0)


NO_LABELS = Labels(np.zeros(0, np.int64))


@dataclasses.dataclass
class LearnLabels(Transform):
    """Tables of kept train images -> Labels (one element); saves the transform function.

    Attributes:
      min_images_per_class: a landmark with fewer gets no label.
      path: where the transform function is saved.
      temp_dir: for TFT's intermediate files.
    """

    min_images_per_class: int
    path: str
    temp_dir: str

    def expand(self, images):
        with quiet.tensorflow():
            import tensorflow_transform as tft
            import tensorflow_transform.beam as tft_beam

        batches = (
            images  # table
            | "NotEmpty" >> beam.Filter(len)
            | "ToArrow" >> beam.Map(_record_batch).with_output_types(pa.RecordBatch)
        )
        with tft_beam.Context(temp_dir=self.temp_dir):
            saved_model, metadata = (
                batches,
                _adapter_config(),
            ) | "Analyze" >> tft_beam.AnalyzeDataset(preprocessing(self.min_images_per_class))
        found = tft.TFTransformOutput
        written = metadata | "WriteMetadata" >> tft_beam.WriteMetadata(
            paths.join(self.path, found.TRANSFORMED_METADATA_DIR), images.pipeline
        )
        return (
            saved_model  # the folder of a SavedModel
            | "Save"
            >> beam.Map(
                save,
                paths.join(self.path, found.TRANSFORM_FN_DIR),
                beam.pvalue.AsSingleton(written),
            )
            | "ReadLabels" >> beam.Map(_read_labels)
        )


def save(saved_model: str, path: str, written: str) -> str:
    """Copies a SavedModel; returns where it is now.

    TFT's WriteTransformFn renames folders. That fails where an engine runs the step again
    because its worker was lost, and in an object store that is busy for a moment. And nothing
    waits for it: labels are read from this copy, so that what comes after has it.

    Args:
      saved_model: the folder.
      path: the folder that shall hold it.
      written: where the metadata beside it is, so that it is there as well.
    """
    for source in filesystem.match(paths.join(str(saved_model), "**")):
        name = source.removeprefix(f"{saved_model}/")
        if not name.startswith("."):  # TFT's own notes
            filesystem.write(paths.join(path, name), filesystem.read(source))
    return path


def preprocessing(min_images_per_class: int):
    """TFT's preprocessing_fn: {landmark_id: [rows] int64} -> {label: [rows] int64}."""

    def preprocessing_fn(inputs):
        import tensorflow as tf
        import tensorflow_transform as tft

        keys = tf.strings.as_string(COUNT_DOWN - inputs[FEATURE], width=WIDTH, fill="0")
        label = tft.compute_and_apply_vocabulary(
            keys, frequency_threshold=min_images_per_class, vocab_filename=FILENAME
        )
        return {"label": label}

    return preprocessing_fn


def _record_batch(images: pd.DataFrame) -> pa.RecordBatch:
    values = pa.array(images[FEATURE].to_numpy(np.int64))
    offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32))
    return pa.RecordBatch.from_arrays([pa.ListArray.from_arrays(offsets, values)], schema=ARROW)


def _adapter_config():
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio import tensor_adapter

    representation = schema_pb2.TensorRepresentation()
    representation.dense_tensor.column_name = FEATURE
    representation.dense_tensor.shape.SetInParent()  # a scalar for each row
    return tensor_adapter.TensorAdapterConfig(ARROW, {FEATURE: representation})


def _read_labels(saved_model: str) -> Labels:
    lines = filesystem.read(paths.join(saved_model, "assets", FILENAME)).split()
    # Where there is no key, TFT writes a word of its own.
    keys = np.array([line for line in lines if line.isdigit()], dtype=np.int64)
    return Labels(COUNT_DOWN - keys)
