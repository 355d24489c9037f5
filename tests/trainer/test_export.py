"""The SavedModel in JOB/export, and the command that makes it of a model.keras."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.common import cli
from tests.conftest import ROOT
from tests.trainer.conftest import photo
from trainer.data import preprocessing
from trainer.export import make_saved_model
from trainer.model.heads import EMBEDDING

SIZE, CLASSES = 32, 5


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A folder with model.keras and saved_model/."""
    folder = tmp_path_factory.mktemp("export")
    keras.utils.set_random_seed(0)
    photos = keras.Input((SIZE, SIZE, 3))
    found = keras.layers.Conv2D(16, 3, strides=2, activation="relu")(photos / 64.0 - 2.0)
    found = keras.layers.BatchNormalization()(found)
    found = keras.layers.GlobalAveragePooling2D()(found)
    found = keras.layers.LayerNormalization(name=EMBEDDING)(found)
    scores = keras.layers.Dense(CLASSES, activation="softmax")(found)
    keras.Model(photos, scores).save(folder / "model.keras")
    make_saved_model(str(folder / "model.keras"), str(folder / "saved_model"))
    return folder


@pytest.fixture(scope="module")
def signatures(exported):
    saved = tf.saved_model.load(str(exported / "saved_model"))
    yield saved.signatures  # whose variables live as long as `saved`


@pytest.fixture(scope="module")
def encoded() -> list[bytes]:
    """JPEGs of several shapes, PNGs in colour and grey."""
    shapes = [(40, 56), (90, 31), (SIZE, SIZE), (200, 150), (7, 300)]
    found = [photo(n, n % 3, *shape).encoded for n, shape in enumerate(shapes)]
    noise = np.random.default_rng(0).integers(0, 256, (61, 47, 3)).astype(np.uint8)
    return [*found, *(tf.io.encode_png(noise[..., :depth]).numpy() for depth in (3, 1))]


@pytest.fixture(scope="module")
def pixels(encoded) -> np.ndarray:
    return np.stack([preprocessing.whole(tf.constant(each), SIZE).numpy() for each in encoded])


def test_the_signatures_are_those_that_are_promised(signatures):
    batch = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="pixels")
    takes = {name: each.structured_input_signature[1] for name, each in signatures.items()}
    assert takes == {
        "serving_default": {"image": tf.TensorSpec([None], tf.string, name="image")},
        "preprocess": {"image": tf.TensorSpec([], tf.string, name="image")},
        "score": {"pixels": batch},
        "embed": {"pixels": batch},
    }
    gives = {
        name: {key: (spec.shape.as_list(), spec.dtype) for key, spec in outputs.items()}
        for name, outputs in ((n, each.structured_outputs) for n, each in signatures.items())
    }
    features = gives["embed"]["embedding"][0][1]
    assert gives == {
        "serving_default": {"scores": ([None, CLASSES], tf.float32)},
        "preprocess": {"pixels": ([SIZE, SIZE, 3], tf.float32)},
        "score": {"scores": ([None, CLASSES], tf.float32)},
        "embed": {
            "scores": ([None, CLASSES], tf.float32),
            "embedding": ([None, features], tf.float32),
        },
    }


def test_preprocess_gives_the_pixels_that_validation_sees(signatures, encoded, pixels):
    for each, expected in zip(encoded, pixels, strict=True):
        found = signatures["preprocess"](image=tf.constant(each))["pixels"]
        np.testing.assert_array_equal(found, expected)


def test_score_and_embed_give_the_models_own_scores(signatures, exported, pixels):
    model = keras.models.load_model(exported / "model.keras")
    expected = model.predict_on_batch(pixels)
    assert np.ptp(expected, axis=0).max() > 0.01  # it does look at the photos
    scored = signatures["score"](pixels=tf.constant(pixels))
    embedded = signatures["embed"](pixels=tf.constant(pixels))
    np.testing.assert_array_equal(scored["scores"], expected)
    np.testing.assert_array_equal(embedded["scores"], expected)

    inner = keras.Model(model.input, model.get_layer(EMBEDDING).output)
    long = inner.predict_on_batch(pixels)
    unit = long / np.linalg.norm(long, axis=1, keepdims=True)
    np.testing.assert_allclose(embedded["embedding"], unit, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embedded["embedding"], axis=1), 1, atol=1e-6)


def test_photos_as_they_lie_on_disk_are_scored_as_in_steps(signatures, encoded, pixels):
    served = signatures["serving_default"](image=tf.constant(encoded))["scores"]
    np.testing.assert_array_equal(served, signatures["score"](pixels=tf.constant(pixels))["scores"])


@pytest.mark.parametrize("bad", [b"", b"<html>", "half"])
def test_preprocess_refuses_what_is_no_photo(signatures, encoded, bad):
    data = encoded[0][:300] if bad == "half" else bad
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["preprocess"](image=tf.constant(data))


# ---- the command ----------------------------------------------------------------------------


def _command(*words: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "trainer.export", *map(str, words)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_command_replaces_a_saved_model(exported, pixels, tmp_path, backend):
    folder = tmp_path / "saved_model"
    shutil.copytree(exported / "saved_model", folder)
    (folder / "saved_model.pb").write_bytes(b"of another model")
    done = _command(exported / "model.keras", folder, KERAS_BACKEND=backend)
    assert (done.returncode, done.stdout) == (0, f"export: {folder}\n"), done.stderr
    saved, first = (tf.saved_model.load(str(each / "saved_model")) for each in (tmp_path, exported))
    found, expected = (
        each.signatures["score"](pixels=tf.constant(pixels))["scores"] for each in (saved, first)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: KERAS_FILE, FOLDER"),
        (["{tmp}/no.keras", "{tmp}/s"], "{tmp}/no.keras: no such file"),
        (["{tmp}/bad.keras", "{tmp}/s"], "{tmp}/bad.keras: expected a model.keras that gld2"),
        (["{tmp}/cut.keras", "{tmp}/s"], "{tmp}/cut.keras: expected a model.keras that gld2"),
        (["{tmp}/other.keras", "{tmp}/s"], "{tmp}/other.keras: expected a model.keras that gld2"),
        (["{good}", "{tmp}/bad.keras/s"], "{tmp}/bad.keras/s: cannot be used"),
    ],
)
def test_a_mistake_is_one_line(exported, tmp_path, capsys, words, message):
    (tmp_path / "bad.keras").write_bytes(b"<html>")
    good = exported / "model.keras"
    (tmp_path / "cut.keras").write_bytes(good.read_bytes()[:-1000])
    keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten()]).save(
        tmp_path / "other.keras"  # without the layer that is the embedding
    )
    flags = [word.format(tmp=tmp_path, good=good) for word in words]
    assert cli.run("python -m trainer.export", "trainer.export", "trainer", flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m trainer.export: error: {message.format(tmp=tmp_path)}")
    assert not (tmp_path / "s").exists()


def test_help_teaches_without_tensorflow():
    script = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras')));"
        "sys.argv[1:] = ['--help']; runpy.run_module('trainer.export', run_name='__main__')"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "usage: python -m trainer.export [-h] KERAS_FILE FOLDER" in shown
    assert "examples:" in shown
