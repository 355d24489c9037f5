import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest

from pipelines.common.labels import Label
from trainer.config import COLUMNS, LOGITS
from trainer.export import make_saved_model
from trainer.model import build, heads

FEATURES = 6
SCALE = 30.0
BACKBONES = {"mobilenet": 0.25, "mobilenet_v2": 0.35, "efficientnet_lite0": 1.0, "vgg16": 1.0}
KINDS = {  # classes are 5: centres, scale, spread
    "linear": (1, None, False),
    "linear, spread": (1, None, True),
    "cosine": (1, SCALE, False),
    "three centres": (3, SCALE, False),
    "three centres, spread": (3, SCALE, True),
}


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def _unit(array, axis):
    return array / np.linalg.norm(array, axis=axis, keepdims=True)


def _classifier(kind, classes=5, seed=0):
    """With random weights, in its padding too."""
    layer = heads.Classifier(classes, *KINDS[kind])
    layer.build((None, FEATURES))
    layer.set_weights([_random(*w.shape, seed=seed + n) for n, w in enumerate(layer.weights)])
    return layer


def _expected(layer, embeddings, kind):
    """Class by class and centre by centre."""
    centres, scale, _ = KINDS[kind]
    kernel, *bias = (np.array(weight) for weight in layer.weights)
    logits = np.empty((len(embeddings), layer.classes), np.float32)
    for place in range(layer.classes):
        columns = kernel[:, place * centres : (place + 1) * centres]
        if scale is None:
            logits[:, place] = embeddings @ columns[:, 0] + bias[0][place]
        else:
            logits[:, place] = scale * (embeddings @ _unit(columns, 0)).max(axis=1)
    return logits


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_gem_is_the_mean_of_cubes():
    features = _random(2, 4, 3, 5)
    cubes = np.maximum(features, 1e-6).astype(np.float64) ** 3
    expected = cubes.mean(axis=(1, 2)) ** (1 / 3)
    np.testing.assert_allclose(np.array(heads.gem(features)), expected, rtol=1e-5)


def test_what_arcface_drops_out_leaves_cosines(config):
    settings = dataclasses.replace(config, head="arcface", dropout=0.5)
    features = keras.Input((4, 3, 8))
    network = keras.Model(features, heads.embedding(features, settings))
    found = np.array(network(_random(50, 4, 3, 8), training=True))
    assert 0.4 < np.mean(found == 0) < 0.6
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "width"),
    [({}, 8), ({"embedding": 5}, 5), ({"pooling": "gem"}, 8), ({"head": "arcface"}, 8)],
    ids=["average", "projected", "gem", "arcface"],
)
def test_an_embedding_is_standardised(config, changes, width):
    settings = dataclasses.replace(config, **changes)
    features = keras.Input((4, 3, 8))
    network = keras.Model(features, heads.embedding(features, settings))
    found = network.predict(100 * np.abs(_random(7, 4, 3, 8)), verbose=0)
    assert found.shape == (7, width)
    if settings.head == "arcface":
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    else:
        np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(found.std(axis=1), 1, atol=1e-3)


def test_a_class_scores_with_its_nearest_centre_and_padding_never(kind):
    layer = _classifier(kind)
    embeddings = _unit(_random(7, FEATURES, seed=9), 1)
    found = np.array(layer(embeddings))
    assert found.shape == (7, 5) == layer.compute_output_shape((7, FEATURES))
    np.testing.assert_allclose(found, _expected(layer, embeddings, kind), rtol=1e-4, atol=1e-5)


def test_what_is_spread_has_columns_for_all_devices():
    for classes in (5, 64, 65):
        layer = heads.Classifier(classes, 3, SCALE, spread=True)
        layer.build((None, FEATURES))
        _, columns = layer.kernel.shape
        assert columns % (COLUMNS * 3) == 0
        assert classes * 3 <= columns < (classes + COLUMNS) * 3


def test_a_linear_head_begins_without_an_opinion():
    layer = heads.Classifier(5)
    assert not np.any(np.array(layer(_random(2, FEATURES))))
    cosines = heads.Classifier(5, 1, SCALE)
    assert np.all(np.std(np.array(cosines(_random(2, FEATURES))), axis=1) > 0)


def test_carried_classes_keep_their_scores_and_new_ones_theirs(kind):
    old = _classifier(kind)
    new = _classifier(kind, classes=70, seed=20)  # spread, the padding differs too
    embeddings = _unit(_random(7, FEATURES, seed=9), 1)
    before, begun = np.array(old(embeddings)), np.array(new(embeddings))
    source = np.full(70, -1)
    source[[3, 0, 69]] = 1, 4, 0
    new.copy_classes(old, source)
    found = np.array(new(embeddings))
    np.testing.assert_allclose(found[:, [3, 0, 69]], before[:, [1, 4, 0]], rtol=1e-5)
    fresh = source < 0
    np.testing.assert_allclose(found[:, fresh], begun[:, fresh], rtol=1e-5)


@pytest.mark.parametrize("head", ["softmax", "arcface"])
def test_a_grown_network_finds_its_classes_by_landmark_id(config, head):
    centres = 3 if head == "arcface" else 1
    settings = dataclasses.replace(config, head=head, subcentres=centres, shard_head="on")
    old = [Label(0, 700, 9), Label(1, 500, 9)]
    new = [Label(0, 900, 9), Label(1, 500, 9), Label(2, 700, 9)]
    network = build.build(settings, 2)
    head_of = network.get_layer(LOGITS)
    head_of.set_weights([_random(*weight.shape) for weight in head_of.weights])
    photos = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)
    before = network.predict(photos, verbose=0)
    found = build.with_new_classes(network, settings, old, new, "float32").predict(
        photos, verbose=0
    )
    np.testing.assert_allclose(found[:, [2, 1]], before, rtol=1e-4, atol=1e-5)


def test_the_export_of_a_head_is_the_head_and_needs_none_of_our_code(kind, tmp_path):
    layer = _classifier(kind)
    inputs = keras.Input((FEATURES,))
    plain = keras.Model(inputs, layer.to_plain_layers(inputs))
    embeddings = _unit(_random(7, FEATURES, seed=9), 1)
    expected = np.array(layer(embeddings))
    np.testing.assert_allclose(np.array(plain(embeddings)), expected, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(layer, heads.Classifier) for layer in plain.layers)

    plain.save(tmp_path / "plain.keras")
    loaded = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_allclose(np.array(loaded(embeddings)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_what_is_exported_of_a_network_opens_where_our_code_is_not(config, tmp_path):
    settings = dataclasses.replace(
        config, head="arcface", subcentres=3, pooling="gem", embedding=16, shard_head="on"
    )
    photos = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "photos.npy", photos)
    expected = {}
    for backbone, alpha in BACKBONES.items():
        network = build.build(dataclasses.replace(settings, backbone=backbone, alpha=alpha), 5)
        logits = np.exp(network.predict(photos, verbose=0))
        expected[backbone] = logits / logits.sum(axis=1, keepdims=True)
        build.with_scores(network).save(tmp_path / f"{backbone}.keras")
    make_saved_model(f"{tmp_path}/mobilenet.keras", f"{tmp_path}/saved_model")
    expected["served"] = expected["mobilenet"]
    script = (
        "import sys, keras, numpy as np, tensorflow as tf\n"
        "served = tf.saved_model.load('saved_model').signatures['score']\n"
        "np.save('served', served(pixels=tf.constant(np.load('photos.npy')))['scores'])\n"
        "for name in sys.argv[1:]:\n"
        "    model = keras.models.load_model(name + '.keras')\n"
        "    np.save(name, model.predict(np.load('photos.npy'), verbose=0))\n"
        "assert not any(name.split('.')[0] in ('trainer', 'pipelines') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, *BACKBONES], cwd=tmp_path, check=True)
    for name, scores in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), scores, rtol=1e-3)
