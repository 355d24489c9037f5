"""An exported model: encoded photos in, the best classes and embeddings out. No Beam."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import tempfile
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
EMBEDDING = "embedding"  # the layer whose output, scaled to length 1, is a photo's embedding
KERAS, SAVED = "model.keras", "saved_model"  # in an export
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
class Place:
    """Where a model lies.

    Attributes:
      path: of a .keras file or a SavedModel's folder.
      export: the folder with labels.csv and stats.json.
    """

    path: str
    export: str

    def labels(self) -> list[Label]:
        """Raises UserError where there is no labels.csv, or it is malformed."""
        path = join(self.export, "labels.csv")
        return parse_labels(filesystem.read(path).decode("utf-8", "replace"), path)

    def digest(self) -> str:
        """sha256 of all that a prediction hangs on."""
        parts = [self.path, *filesystem.match(join(self.path, "*"))]
        parts += filesystem.match(join(self.path, "variables", "*"))
        parts = [path for path in parts if path.rpartition("/")[2] not in (SAVED, "variables")]
        parts.append(join(self.export, "labels.csv"))
        return hashing.sha256("".join(map(_sha256, parts)).encode())


def find(model: str) -> Place:
    """The model that `--model` names.

    Args:
      model: an export's folder, of which model.keras is taken where it is there
        (its photos are decoded side by side, not one after the other); or a
        .keras file or a saved_model folder with labels.csv beside it.

    Raises:
      UserError: there is none.
    """
    model = model.rstrip("/")
    if model.endswith((".keras", f"/{SAVED}")):
        found = Place(model, model.rpartition("/")[0] or ".")
    else:
        paths = [join(model, name) for name in (KERAS, SAVED)]
        found = Place(next(filter(_is_there, paths), model), model)
    if not _is_there(found.path) or found.path == model == found.export:
        raise UserError(f"--model {model}: {EXPECTED}, with {KERAS} or {SAVED}/; found neither")
    return found


def _is_there(path: str) -> bool:
    return filesystem.exists(path if path.endswith(".keras") else join(path, "saved_model.pb"))


def _sha256(path: str) -> str:
    return hashing.sha256(filesystem.read(path))


class Network:
    """A loaded model. Its methods may be called from several threads at once.

    Args:
      labels: of its classes.
      prepare: a photo's bytes -> the network's input for it; raises TensorFlow's
        errors where it is no photo.
      run: [CHUNK] inputs -> Outputs.
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


def load(place: Place, top_k: int, embed: bool, threads: int) -> Network:
    """Loads a model and runs it once, so that what is slow the first time is behind it.

    Args:
      place: of the model.
      top_k: classes that are kept of each photo.
      embed: whether embeddings are wanted.
      threads: that prepare photos.

    Raises:
      UserError: it does not load, or its classes are not those of labels.csv.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with quiet.tensorflow():
        import tensorflow as tf

    labels = place.labels()
    make = _keras if place.path.endswith(".keras") else _saved_model
    try:
        prepare, scores_of, classes = make(place.path, embed)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{place.path}: {EXPECTED}; {_short(error)}") from None
    if classes != len(labels):
        raise UserError(f"{place.path}: {classes} classes, but labels.csv has {len(labels)}")
    k = min(top_k, classes)

    @tf.function
    def run(inputs):
        found = scores_of(inputs)
        scores, best = tf.math.top_k(found["scores"], k)
        return scores, best, found.get(EMBEDDING)

    network = Network(labels, prepare, run, threads)
    black = tf.io.encode_jpeg(tf.zeros([32, 32, 3], tf.uint8)).numpy()
    network.predict([[black]])
    return network


Loaded = tuple[Callable[[bytes], Any], Callable[[Any], dict[str, Any]], int]


def _keras(path: str, embed: bool) -> Loaded:
    """How a .keras file is prepared for and called, and how many classes it has."""
    import keras
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix="gld2-") as folder:
        local = os.path.join(folder, KERAS)  # it may lie on gs://
        filesystem.write(local, filesystem.read(path))
        scorer = keras.saving.load_model(local, compile=False)
    size = scorer.input_shape[1]
    outputs = {"scores": scorer.output}
    if embed:
        outputs[EMBEDDING] = scorer.get_layer(EMBEDDING).output
    both = keras.Model(scorer.input, outputs)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def prepare(photo):
        """As the trainer's photos are: the same pixels."""
        pixels = tf.io.decode_image(photo, channels=3, expand_animations=False)
        pixels = tf.ensure_shape(pixels, [None, None, 3])
        return tf.image.resize(pixels, [size, size], method="bilinear", antialias=True)

    def scores_of(inputs):
        found = both(inputs, training=False)
        if embed:
            found[EMBEDDING] = tf.math.l2_normalize(found[EMBEDDING], axis=-1)
        return found

    return prepare, scores_of, scorer.output_shape[-1]


def _saved_model(path: str, embed: bool) -> Loaded:
    """The same for a SavedModel, which decodes photos itself: what it could not is kept from it."""
    import tensorflow as tf

    model = tf.saved_model.load(path)
    signature = model.signatures["embed" if embed else "serving_default"]
    signature.keep_alive = model  # its variables go with it

    def prepare(photo: bytes):
        tf.io.decode_image(photo, channels=3, expand_animations=False)
        return tf.constant(photo)

    def scores_of(inputs):
        return dict(signature(image=inputs))

    return prepare, scores_of, signature.structured_outputs["scores"].shape[-1]


def _short(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
