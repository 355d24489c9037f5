"""Writes the SavedModel of a trained network: photos or pixels in, scores and embeddings out.

It is always made with Keras on TensorFlow, as it holds TensorFlow functions.
"""

from __future__ import annotations

import zipfile

import keras
import tensorflow as tf

from pipelines.common.errors import UserError, in_one_line
from trainer import gfile
from trainer.data import preprocessing
from trainer.model import build


def convert(keras_file: str, folder: str) -> None:
    """Writes the SavedModel of a model.keras in place of an earlier one.

    Raises:
      UserError: there is no such file, it is no model that gld2 train exported, or the folder
        cannot be written.
    """
    network = _load(keras_file)
    with gfile.reaching(folder):
        save(network, folder)


def _load(keras_file: str) -> keras.Model:
    """Loads a model.keras, with scores and embeddings as its outputs."""
    with gfile.reaching(keras_file):
        if not tf.io.gfile.exists(keras_file):
            raise UserError(f"{keras_file}: no such file")
        try:
            return build.with_embedding(keras.models.load_model(keras_file, compile=False))
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
            reason = in_one_line(str(error).strip().partition("\n")[0])
            raise UserError(
                f"{keras_file}: expected a model.keras that gld2 train exported; {reason}"
            ) from None


def save(network: keras.Model, folder: str) -> None:
    """Writes a SavedModel with four signatures, each of named tensors.

    serving_default: image [n] string, each a photo's bytes -> scores [n, classes] float32, in
      labels.csv's order.
    preprocess: image, a scalar string -> pixels [size, size, 3] float32, as in validation.
    score: pixels [n, size, size, 3] float32 -> scores.
    embed: pixels -> scores, and embedding [n, features] float32, each of length 1.

    Args:
      network: from `build.with_embedding`.
      folder: the SavedModel's folder.
    """
    size = network.input.shape[1]
    encoded, several = (tf.TensorSpec(shape, tf.string, name="image") for shape in ([], [None]))
    square = tf.TensorSpec([size, size, 3], tf.float32)
    batch = tf.TensorSpec([None, *square.shape], tf.float32, name="pixels")

    def preprocess(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"pixels": preprocessing.whole(image, size)}

    @tf.function(input_signature=[batch])  # so that the network's graph is written once
    def embed(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return network(pixels, training=False)

    def score(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": embed(pixels)["scores"]}

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        squares = tf.map_fn(
            lambda each: preprocess(each)["pixels"], image, fn_output_signature=square
        )
        return score(squares)

    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serving_default", serve, input_signature=[several])
    archive.add_endpoint("preprocess", preprocess, input_signature=[encoded])
    archive.add_endpoint("score", score, input_signature=[batch])
    archive.add_endpoint("embed", embed, input_signature=[batch])
    archive.write_out(folder, verbose=False)
