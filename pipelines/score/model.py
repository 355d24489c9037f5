"""Runs an exported model on encoded photos: best classes and embeddings, without Beam."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import shlex
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pipelines.common import quiet
from pipelines.common.errors import UserError
from pipelines.common.labels import Label, parse_labels
from pipelines.common.paths import join
from pipelines.common.reasons import Reason
from pipelines.imaging.normalize import Unreadable
from pipelines.storage import filesystem, hashing

# Photos in one batch of the network, as in Keras' predict. In a batch of another size, or at
# another position in it, sums are taken in another order and the last digits of a score change. So
# the unit alone decides which photos form a batch, and a smaller batch is padded to this size.
CHUNK = 32
SAVED, KERAS = "saved_model", "model.keras"  # names in an export's folder
SIGNATURES = ("preprocess", "score", "embed")  # of a SavedModel that gld2 train writes
EXPECTED = "expected a model that gld2 train exported"

Outputs = tuple[Any, Any, Any]  # scores, classes: [CHUNK, top_k]; embeddings or None


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The network's output for one photo.

    Attributes:
      landmark_ids: [top_k] int64 landmarks of the best classes, the best first.
      scores: [top_k] float32, their probabilities.
      embedding: [features] float32 of length 1, or None where no embedding was asked for.
    """

    landmark_ids: np.ndarray
    scores: np.ndarray
    embedding: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class ModelPath:
    """The location of an exported model.

    Attributes:
      path: the SavedModel's folder.
      export: the folder with labels.csv and stats.json.
    """

    path: str
    export: str

    def labels(self) -> list[Label]:
        """Reads the model's classes.

        Raises:
          UserError: there is no labels.csv, or it is malformed.
        """
        path = join(self.export, "labels.csv")
        return parse_labels(filesystem.read(path).decode("utf-8", "replace"), path)

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of all that predictions depend on: graphs, variables, labels; read once."""
        parts = [
            *filesystem.match(join(self.path, "*")),
            *filesystem.match(join(self.path, "variables", "*")),
            join(self.export, "labels.csv"),
        ]
        return hashing.sha256("".join(map(_sha256, parts)).encode())


def find(model: str) -> ModelPath:
    """Finds the model that `--model` names.

    Args:
      model: an export's folder, or a saved_model folder with labels.csv beside it.

    Raises:
      UserError: there is no SavedModel; where there is a .keras file, the message says how to
        export it.
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
    """Returns the error that says by which command a .keras file is exported."""
    command = shlex.join(["python", "-m", "trainer.export", keras_file, path])
    signatures = ", ".join(SIGNATURES)
    return UserError(
        f"{where}: expected a SavedModel with the signatures {signatures}; make it with: {command}"
    )


@contextlib.contextmanager
def _without_pattern(path: str) -> Iterator[str]:
    """Yields the path of a SavedModel, or of a copy where TensorFlow would read a pattern."""
    if not filesystem.looks_like_pattern(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="gld2-") as copy:
        for file in filesystem.walk(path):
            filesystem.write(copy + file.removeprefix(path), filesystem.read(file))
        yield copy


def _sha256(path: str) -> str:
    return hashing.sha256(filesystem.read(path))


class Network:
    """A loaded model, which several threads may use at once.

    Args:
      labels: the classes, in the order of the network's outputs.
      prepare: a photo's bytes -> [size, size, 3] pixels; raises TensorFlow's
        errors where the bytes are no photo.
      run: [CHUNK, size, size, 3] pixels -> Outputs.
      threads: number of threads that prepare photos.
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
        """Returns a prediction for each photo, chunk by chunk; a chunk has at most CHUNK photos.

        While the network runs on one chunk, the next ones are prepared.
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
    """Loads a model and runs it once, as the first call is slow.

    Args:
      place: the model's location.
      top_k: number of classes kept for each photo.
      embed: whether embeddings are wanted.
      threads: number of threads that prepare photos.

    Raises:
      UserError: the model does not load, or does not have as many classes as labels.csv.
    """
    with quiet.tensorflow():
        import tensorflow as tf

    labels = place.labels()
    try:
        with _without_pattern(place.path) as path:
            saved = tf.saved_model.load(path)
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
