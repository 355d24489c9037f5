"""An exported model: encoded photos in, the best classes and embeddings out. No Beam."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pipelines.common import quiet
from pipelines.common.errors import UserError
from pipelines.common.labels import Label, parse_labels
from pipelines.common.paths import join
from pipelines.common.reasons import Reason
from pipelines.imaging.normalize import Unreadable
from pipelines.storage import filesystem, hashing

# What the network sees at once, as Keras' predict has it. In a batch of another size, or elsewhere
# in the batch, sums run in another order and the last digits of a score change. So photos come
# in chunks that their unit alone decides, and a smaller one is filled up.
CHUNK = 32
SAVED, KERAS = "saved_model", "model.keras"  # in an export
SIGNATURES = ("preprocess", "score", "embed")  # of a SavedModel of gld2 train
EXPECTED = "expected a model that gld2 train exported"

Outputs = tuple[Any, Any, Any]  # scores, classes: [CHUNK, top_k]; embeddings or None


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the network makes of one photo.

    Attributes:
      landmark_ids: [top_k] int64 of the best classes, the best first.
      scores: [top_k] float32, their probabilities.
      embedding: [features] float32 of length 1, or None where none was asked for.
    """

    landmark_ids: np.ndarray
    scores: np.ndarray
    embedding: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class ModelPath:
    """Where a model lies.

    Attributes:
      path: of a SavedModel's folder.
      export: the folder with labels.csv and stats.json.
    """

    path: str
    export: str

    def labels(self) -> list[Label]:
        """Raises UserError where there is no labels.csv, or it is malformed."""
        path = join(self.export, "labels.csv")
        return parse_labels(filesystem.read(path).decode("utf-8", "replace"), path)

    def digest(self) -> str:
        """sha256 of all that a prediction hangs on: graphs, variables, labels."""
        parts = [
            *filesystem.match(join(self.path, "*")),
            *filesystem.match(join(self.path, "variables", "*")),
            join(self.export, "labels.csv"),
        ]
        return hashing.sha256("".join(map(_sha256, parts)).encode())


def find(model: str) -> ModelPath:
    """The model that `--model` names.

    Args:
      model: an export's folder, or a saved_model folder with labels.csv beside it.

    Raises:
      UserError: there is none; where there is a .keras file instead, says how to export it.
    """
    model = model.rstrip("/")
    folder = model.rpartition("/")[0] or "."
    for found in (ModelPath(join(model, SAVED), model), ModelPath(model, folder)):
        if filesystem.exists(join(found.path, "saved_model.pb")):
            return found
    for keras_file, export in ((join(model, KERAS), model), (model, folder)):
        if keras_file.endswith(".keras") and filesystem.exists(keras_file):
            raise _to_export(f"--model {model}", keras_file, join(export, SAVED))
    raise UserError(f"--model {model}: {EXPECTED}, a folder with {SAVED}/ in it; found none")


def _to_export(where: str, keras_file: str, path: str) -> UserError:
    """What says that a .keras file is to be exported, and by which command."""
    command = shlex.join(["python", "-m", "trainer.export", keras_file, path])
    signatures = ", ".join(SIGNATURES)
    return UserError(
        f"{where}: expected a SavedModel with the signatures {signatures}; make it with: {command}"
    )


def _sha256(path: str) -> str:
    return hashing.sha256(filesystem.read(path))


class Network:
    """A loaded model. Its methods may be called from several threads at once.

    Args:
      labels: of its classes.
      prepare: a photo's bytes -> [size, size, 3] pixels; raises TensorFlow's
        errors where it is no photo.
      run: [CHUNK, size, size, 3] pixels -> Outputs.
      threads: that prepare photos.
    """

    def __init__(
        self,
        labels: Sequence[Label],
        prepare: Callable[[bytes], Any],
        run: Callable[[Any], Outputs],
        threads: int,
    ):
        self._landmarks = np.array([label.landmark_id for label in labels], np.int64)
        self._prepare = prepare
        self._run = run
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)

    def predict(self, chunks: Iterable[Sequence[bytes]]) -> list[list[Prediction | Unreadable]]:
        """What each photo of each chunk shows, of at most CHUNK photos each.

        While the network looks at a chunk, the next ones are prepared.
        """
        prepared = [self._pool.map(self._prepared, chunk) for chunk in chunks]
        return [self._predict(list(inputs)) for inputs in prepared]

    def _prepared(self, photo: bytes) -> Any:
        import tensorflow as tf

        try:
            return self._prepare(photo)
        except tf.errors.InvalidArgumentError as error:
            return Unreadable(Reason.UNDECODABLE, _short(error))

    def _predict(self, inputs: list[Any]) -> list[Prediction | Unreadable]:
        import tensorflow as tf

        good = [each for each in inputs if not isinstance(each, Unreadable)]
        if not good:
            return inputs
        filled = [good[0] if isinstance(each, Unreadable) else each for each in inputs]
        filled += good[:1] * (CHUNK - len(filled))
        scores, classes, embeddings = self._run(tf.stack(filled))
        landmarks = self._landmarks[classes.numpy()]
        vectors = [None] * CHUNK if embeddings is None else embeddings.numpy()
        rows = zip(inputs, landmarks, scores.numpy(), vectors, strict=False)
        return [each if isinstance(each, Unreadable) else Prediction(*row) for each, *row in rows]


def load(place: ModelPath, top_k: int, embed: bool, threads: int) -> Network:
    """Loads a model and runs it once, so that what is slow the first time is behind it.

    Args:
      place: of the model.
      top_k: classes that are kept of each photo.
      embed: whether embeddings are wanted.
      threads: that prepare photos.

    Raises:
      UserError: it does not load, or its classes are not those of labels.csv.
    """
    with quiet.tensorflow():
        import tensorflow as tf

    labels = place.labels()
    try:
        saved = tf.saved_model.load(place.path)
    except (OSError, LookupError, ValueError, TypeError, tf.errors.OpError) as error:
        raise UserError(f"{place.path}: {EXPECTED}; {_short(error)}") from None
    if not set(SIGNATURES) <= set(saved.signatures):
        raise _to_export(place.path, join(place.export, KERAS), place.path)
    preprocess, name = saved.signatures["preprocess"], "embed" if embed else "score"
    classes = saved.signatures[name].structured_outputs["scores"].shape[-1]
    if classes != len(labels):
        raise UserError(f"{place.path}: {classes} classes, but labels.csv has {len(labels)}")
    k = min(top_k, classes)

    def prepare(photo: bytes):
        return preprocess(image=tf.constant(photo))["pixels"]

    @tf.function
    def run(pixels):
        found = saved.signatures[name](pixels=pixels)  # `saved` keeps the variables alive
        scores, best = tf.math.top_k(found["scores"], k)
        return scores, best, found.get("embedding")

    network = Network(labels, prepare, run, threads)
    black = tf.io.encode_jpeg(tf.zeros([32, 32, 3], tf.uint8)).numpy()
    network.predict([[black]])
    return network


def _short(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
