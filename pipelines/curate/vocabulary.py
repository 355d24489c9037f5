"""Maps landmark ids to labels with a tensorflow-transform vocabulary and a frequency threshold."""

from __future__ import annotations

import dataclasses

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.common import paths, quiet
from pipelines.runner.transform import Transform
from pipelines.storage import filesystem

# tensorflow and tft are imported where they are used: that takes four seconds, which --help,
# download and shard need not wait for.

FILENAME = "landmarks"
FEATURE = "landmark_id"
# TFT orders equally frequent keys by text, the largest first. Ids are subtracted from this number
# and padded to equal width, so that the order is that of ascending landmark ids.
COUNT_DOWN = 10**18
WIDTH = 18
ARROW = pa.schema([(FEATURE, pa.list_(pa.int64()))])


@dataclasses.dataclass(frozen=True)
class Labels:
    """A mapping from landmark ids to labels.

    Attributes:
      landmark_ids: [classes] int64, the landmark of each label.
    """

    landmark_ids: np.ndarray

    def lookup(self, landmark_ids: pd.Series) -> pd.Series:
        """Returns the labels of landmarks, [rows] int64; null where the vocabulary has none."""
        index = pd.Index(self.landmark_ids)
        found = pd.array(index.get_indexer(landmark_ids.fillna(-1)), dtype="int64[pyarrow]")
        labels = pd.Series(found, landmark_ids.index)
        return labels.where(labels >= 0)


NO_LABELS = Labels(np.zeros(0, np.int64))


@dataclasses.dataclass
class LearnLabels(Transform):
    """Turns tables of kept train images into one Labels and saves the transform function.

    Attributes:
      min_images_per_class: a landmark with fewer images gets no label.
      path: folder that the transform function is saved in.
      temp_dir: folder of TFT's intermediate files.
    """

    min_images_per_class: int
    path: str
    temp_dir: str

    def expand(self, images):
        """Returns a PCollection of one Labels."""
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
    """Copies a SavedModel; returns the folder of the copy.

    TFT's WriteTransformFn renames folders instead. That fails where an engine runs the step
    again because its worker was lost, or where an object store is busy for a moment; and no
    later step waits for it. Labels are read from this copy, so that later steps find it complete.

    Args:
      saved_model: folder to copy.
      path: folder of the copy.
      written: folder of the metadata, which is thus written before this step runs.
    """
    for source in filesystem.walk(str(saved_model)):
        name = source.removeprefix(f"{saved_model}/")
        if not name.startswith("."):  # TFT's temporary files
            filesystem.write(paths.join(path, name), filesystem.read(source))
    return path


def preprocessing(min_images_per_class: int):
    """Returns TFT's preprocessing_fn: {landmark_id: [rows] int64} -> {label: [rows] int64}."""

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
    # Where there is no key, TFT writes a placeholder that is no number.
    keys = np.array([line for line in lines if line.isdigit()], dtype=np.int64)
    return Labels(COUNT_DOWN - keys)
