"""Beam's RunInference over an exported model: encoded photos in, the best class out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from pipelines import files, quiet, schema
from pipelines.schema import Label, UserError

SIGNATURE = "serving_default"
INPUT, OUTPUT = "image", "scores"


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The best class of one photo.

    Attributes:
      landmark_id: of that class.
      score: the class's probability.
    """

    landmark_id: int
    score: float


@dataclasses.dataclass(frozen=True)
class Model:
    """A loaded export."""

    predict: Any  # signature function: image [batch] string -> scores [batch, classes] float32
    labels: Sequence[Label]


class SavedModelHandler(ModelHandler[bytes, Prediction, Model]):
    """Loads `export/saved_model` once a process and scores fixed-size batches.

    Every batch is filled up to the same size, so that the sums in the network
    run in the same order whatever else was in the batch: a photo's score does
    not depend on its neighbours or on the number of workers.

    Args:
      export: the folder that the trainer left, local or gs://.
      batch_size: photos scored at once.
    """

    def __init__(self, export: str, batch_size: int):
        super().__init__()
        self._export = export
        self._batch_size = batch_size

    def load_model(self) -> Model:
        """Raises UserError where it does not load, or its classes are not those of labels.csv."""
        with quiet.tensorflow():
            import tensorflow as tf

        path = files.join(self._export, "saved_model")
        labels = read_labels(self._export)
        try:
            model = tf.saved_model.load(path)
            predict = model.signatures[SIGNATURE]
            classes = predict.structured_outputs[OUTPUT].shape[-1]
        except (OSError, KeyError, ValueError) as error:
            raise UserError(f"{path}: expected a model that gld2 train exported; {error}") from None
        if classes != len(labels):
            raise UserError(f"{path}: {classes} classes, but labels.csv has {len(labels)}")
        predict.keep_alive = model  # its variables go with it
        return Model(predict, labels)

    def run_inference(
        self, batch: Sequence[bytes], model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterator[Prediction]:
        """Scores [n] encoded photos, n at most the batch size."""
        import tensorflow as tf

        filled = [*batch, *[batch[-1]] * (self._batch_size - len(batch))]
        scores = model.predict(**{INPUT: tf.constant(filled)})[OUTPUT].numpy()[: len(batch)]
        for best, score in zip(scores.argmax(axis=1), scores.max(axis=1), strict=True):
            yield Prediction(model.labels[best].landmark_id, float(score))

    def batch_elements_kwargs(self) -> dict[str, int]:
        return {"min_batch_size": self._batch_size, "max_batch_size": self._batch_size}

    def get_num_bytes(self, batch: Iterable[bytes]) -> int:
        return sum(map(len, batch))

    def get_metrics_namespace(self) -> str:
        return "gld2"


def read_labels(export: str) -> list[Label]:
    """labels.csv of an export.

    Raises:
      UserError: there is none, or it is malformed.
    """
    path = files.join(export, "labels.csv")
    return schema.parse_labels(files.read(path).decode(), path)
