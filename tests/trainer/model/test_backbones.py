import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from pipelines.common.errors import UserError
from tests.conftest import WEIGHTS
from trainer.model import backbones

needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="../shared/weights is absent")
LITE0 = WEIGHTS / "efficientnet_lite0_224_notop.weights.h5"


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
def test_lite0_keeps_its_gates_open():
    backbone = backbones.build("efficientnet_lite0", 32, str(LITE0))
    backbones.unfreeze(backbone, normalisation=True)
    names = {variable.path for variable in backbone.trainable_variables}
    assert any("dwconv" in name for name in names)
    assert not any("_se_" in name for name in names)


@pytest.mark.parametrize(
    ("saved", "other", "why"),
    [
        ("efficientnet_b0", "efficientnet_lite0", ".* trained squeeze"),
        ("efficientnet_lite0", "efficientnet_b0", ""),
    ],
)
def test_b0_and_lite0_do_not_take_each_others_files(tmp_path, saved, other, why):
    path = str(tmp_path / "saved.weights.h5")
    backbones.build(saved, 32, "none").save_weights(path)
    assert backbones.build(saved, 32, path)
    with pytest.raises(UserError, match=f"do not fit {other}: {why}"):
        backbones.build(other, 32, path)


def test_keras_own_efficientnet_files_are_normalised_by_the_deviation(tmp_path):
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    published = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    published.layers[2].set_weights([mean, std, np.int64(0)])  # as Keras publishes it
    published.save_weights(tmp_path / "b0.weights.h5")
    backbone = backbones.build("efficientnet_b0", 32, str(tmp_path / "b0.weights.h5"))
    stem = keras.Model(backbone.input, backbone.layers[2].output)
    photos = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    expected = (photos / 255 - mean) / std
    np.testing.assert_allclose(stem.predict(photos, verbose=0), expected, atol=1e-4)


@pytest.mark.parametrize(("phi", "published"), [(0.0, "efficientnet_b0"), (1.0, "efficientnet_b2")])
def test_compound_scaling_gives_the_published_layers(phi, published):
    ours = backbones.build("efficientnet", 32, "none", phi=phi)
    theirs = backbones.build(published, 32, "none")
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()


def test_compound_scaling_between_the_published_ones():
    # 32 * 1.1^-3 is 24.04 channels, 1280 * 1.1^-3 is 961.7; half of each block's repeats, rounded
    # up: 1, 2, 2, 2, 2, 3, 1 of 1, 2, 2, 3, 3, 4, 1.
    network = backbones.build("efficientnet", 32, "none", phi=-3)
    assert network.get_layer("stem_conv").filters == 24
    assert network.output.shape == (None, 1, 1, 960)
    blocks = {la.name.split("_")[0] for la in network.layers if la.name.startswith("block")}
    assert len(blocks) == 1 + 2 + 2 + 2 + 2 + 3 + 1


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Files of weights, right ones and wrong ones, for a mobilenet of alpha 0.25."""
    folder = tmp_path_factory.mktemp("weights")
    right, wide, whole = _mobilenet(0.25), _mobilenet(0.5), _mobilenet(0.25, include_top=True)
    for name, network in (("right", right), ("wide", wide), ("top", whole)):
        network.save_weights(folder / f"{name}.weights.h5")
        network.save(folder / f"{name}.h5")
    right.save(folder / "model.keras")
    shutil.copy(folder / "right.weights.h5", folder / "renamed.h5")
    for name in ("right.weights.h5", "right.h5"):
        content = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(content[: len(content) // 2])
    (folder / "empty.h5").touch()
    (folder / "text.h5").write_text("not a weights file")
    (folder / "folder.h5").mkdir()
    with h5py.File(folder / "other.h5", "w") as other:
        other["layers"] = np.zeros(3)
    return folder


@pytest.mark.parametrize("file", ["right.weights.h5", "right.h5", "renamed.h5"])
def test_both_layouts_load_by_whatever_name(files, file):
    found = backbones.build("mobilenet", 32, str(files / file), alpha=0.25)
    expected = keras.models.load_model(files / "model.keras")
    for left, right in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("absent.h5", "cannot be read: .*No such file"),
        ("folder.h5", "found a folder"),
        ("empty.h5", "expected an HDF5 file of weights"),
        ("text.h5", "expected an HDF5 file of weights"),
        ("model.keras", "expected an HDF5 file of weights"),
        ("cut_right.h5", "truncated"),
        ("cut_right.weights.h5", "truncated"),
        ("other.h5", "expected 135 arrays, found 1"),
        ("wide.h5", r"too few of shape \(3, 3, 3, 8\)"),
        ("wide.weights.h5", r"too few of shape \(3, 3, 3, 8\)"),
        ("top.h5", "found 137; too many .* a classifier's"),
        ("top.weights.h5", "found 137; too many .* a classifier's"),
    ],
)
def test_a_wrong_file_is_one_clear_error(files, file, why):
    with pytest.raises(UserError, match=f"--weights .*/{file}.*{why}") as caught:
        backbones.build("mobilenet", 32, str(files / file), alpha=0.25)
    assert "\n" not in str(caught.value)


def _mobilenet(alpha: float, include_top: bool = False) -> keras.Model:
    return keras.applications.MobileNet(
        alpha=alpha, include_top=include_top, weights=None, input_shape=(32, 32, 3), classes=10
    )
