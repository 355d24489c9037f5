from pathlib import Path

import keras
import numpy as np
import pytest

from pipelines.schema import UserError
from trainer import backbones

WEIGHTS = Path(__file__).parents[3] / "shared" / "weights"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="../shared/weights is absent")
MOBILENET = WEIGHTS / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
LITE0 = WEIGHTS / "efficientnet_lite0_224_notop.weights.h5"


def _whole(name, backbone):
    """RGB 0-255 to features."""
    photos = keras.Input((32, 32, 3))
    return keras.Model(photos, backbone(backbones.scaled(name, photos)))


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v2", "efficientnet_lite0", "vgg16"])
def test_networks_save_and_load_without_our_code(name, tmp_path):
    alpha = 0.35 if name == "mobilenet_v2" else 0.25 if name == "mobilenet" else 1.0
    network = _whole(name, backbones.build(name, alpha, "none", 32))
    network.save(tmp_path / "network.keras")
    photos = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
    expected = network.predict(photos, verbose=0)
    assert expected.shape[:3] == (2, 1, 1)
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded.predict(photos, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("efficientnet_b0", keras.applications.efficientnet),
        ("mobilenet", keras.applications.mobilenet),
        ("mobilenet_v2", keras.applications.mobilenet_v2),
        ("resnet50", keras.applications.resnet),
        ("vgg16", keras.applications.vgg16),
    ],
)
def test_scaling_is_that_of_keras(name, module):
    photos = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    inputs = keras.Input((8, 8, 3))
    ours = keras.Model(inputs, keras.layers.Identity()(backbones.scaled(name, inputs)))
    expected = module.preprocess_input(photos.copy())
    np.testing.assert_allclose(ours.predict(photos, verbose=0), expected, atol=1e-4)


@needs_weights
def test_loads_a_file_as_keras_does():
    ours = backbones.build("mobilenet_v2", 0.35, str(MOBILENET), 32)
    theirs = keras.applications.MobileNetV2(
        alpha=0.35, weights=MOBILENET, include_top=False, input_shape=(32, 32, 3)
    )
    for left, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@needs_weights
@pytest.mark.parametrize(
    ("name", "alpha", "file"),
    [
        ("mobilenet_v2", 1.0, MOBILENET),
        ("mobilenet", 0.25, MOBILENET),
        ("mobilenet_v2", 0.35, LITE0),
        ("efficientnet_b0", 1.0, LITE0),
    ],
)
def test_another_networks_file_is_refused(name, alpha, file):
    with pytest.raises(UserError, match=f"{file.name} do not fit {name}"):
        backbones.build(name, alpha, str(file), 32)


@needs_weights
def test_lite0_keeps_its_gates_open():
    backbone = backbones.build("efficientnet_lite0", 1.0, str(LITE0), 32)
    backbones.unfreeze(backbone, normalisation=True)
    names = {variable.path for variable in backbone.trainable_variables}
    assert any("dwconv" in name for name in names)
    assert not any("_se_" in name for name in names)


def test_b0s_file_is_not_lite0s(tmp_path):
    path = tmp_path / "b0.weights.h5"
    _b0().save_weights(path)
    assert backbones.build("efficientnet_b0", 1.0, str(path), 32)
    with pytest.raises(UserError, match=r"do not fit efficientnet_lite0: .* trained squeeze"):
        backbones.build("efficientnet_lite0", 1.0, str(path), 32)


def test_keras_own_efficientnet_files_are_normalised_by_the_deviation(tmp_path):
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    published = _b0()
    published.layers[2].set_weights([mean, std, np.int64(0)])  # as Keras publishes it
    published.save_weights(tmp_path / "b0.weights.h5")
    backbone = backbones.build("efficientnet_b0", 1.0, str(tmp_path / "b0.weights.h5"), 32)
    stem = keras.Model(backbone.input, backbone.layers[2].output)
    photos = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    expected = (photos / 255 - mean) / std
    np.testing.assert_allclose(stem.predict(photos, verbose=0), expected, atol=1e-4)


@pytest.mark.parametrize("content", [None, b"not a weights file"])
def test_an_unreadable_file_is_one_clear_error(tmp_path, content):
    path = tmp_path / "some.h5"
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"--weights .*some\.h5") as caught:
        backbones.build("mobilenet", 0.25, str(path), 32)
    assert "\n" not in str(caught.value)


def _b0() -> keras.Model:
    return keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
