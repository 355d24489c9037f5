"""What is counted is what the papers published."""

from __future__ import annotations

import json

import keras
import pytest

from pipelines.common.errors import UserError
from tests.conftest import gld2
from trainer import compound_scaling, describe
from trainer.model import backbones, complexity
from trainer.model.complexity import LayerCounts


def _described(name: str, **kwargs) -> list[LayerCounts]:
    size = compound_scaling.resolution(name)
    network = backbones.build(name, size, "none", **kwargs)
    return [
        *complexity.count_layers(network),
        complexity.count_classifier(network.output.shape[-1], 1000),
    ]


@pytest.fixture(scope="module")
def mobilenet() -> list[LayerCounts]:
    return _described("mobilenet")


def test_mobilenet_is_mostly_pointwise(mobilenet):
    # arxiv.org/abs/1704.04861, tables 1 and 2, which leave normalisation out. The share of
    # multiply-adds of its 3x3 convolution is printed there as 1.19 %; 10.84 of 569 million is 1.9.
    counts = complexity.sum_layers(mobilenet)
    assert counts.multiply_adds / 1e6 == pytest.approx(569, abs=1)
    assert round(counts.parameters / 1e6, 1) == 4.2
    convolved = counts.parameters - counts.by_kind["other"].parameters
    biases = 1000
    published = {  # percent of the multiply-adds, percent of the parameters
        "pointwise": (94.86, 74.59),
        "depthwise": (3.06, 1.06),
        "standard": (1.91, 0.02),
        "dense": (0.18, 24.33),
    }
    for kind, (work, size) in published.items():
        found = counts.by_kind[kind]
        parameters = found.parameters - (biases if kind == "dense" else 0)
        assert 100 * found.multiply_adds / counts.multiply_adds == pytest.approx(work, abs=0.01)
        assert 100 * parameters / (convolved - biases) == pytest.approx(size, abs=0.01)


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [  # millions, billions, with as many digits as the papers give
        ("mobilenet_v2", 3.5, 0.3),  # arxiv.org/abs/1801.04381: 3.4 and 0.300
        ("efficientnet_b0", 5.3, 0.39),  # arxiv.org/abs/1905.11946, as those below
        ("efficientnet_b1", 7.8, 0.70),
        ("efficientnet_b2", 9.2, 1.0),
        ("efficientnet_b3", 12, 1.8),
        pytest.param("efficientnet_b4", 19, 4.2, marks=pytest.mark.slow),
        pytest.param("efficientnet_b5", 30, 9.9, marks=pytest.mark.slow),
        pytest.param("efficientnet_b6", 43, 19, marks=pytest.mark.slow),
        pytest.param("efficientnet_b7", 66, 37, marks=pytest.mark.slow),
    ],
)
def test_published_counts(name, parameters, multiply_adds):
    counts = complexity.sum_layers(_described(name))
    assert counts.parameters / 1e6 == pytest.approx(parameters, rel=0.03)
    # B4's and B5's layers as published do 4.6 % and 3.7 % more than the paper says.
    assert counts.multiply_adds / 1e9 == pytest.approx(multiply_adds, rel=0.05)


def test_resnet50_and_where_it_strides():
    """He et al. publish 3.8 billion, and stride in a block's first convolution, as Keras does.

    The 4.1 that later papers give are of the variant that strides in the 3x3: there, the first
    convolutions of the three blocks that halve their input see four times the positions.
    """
    rows = _described("resnet50")
    counts = complexity.sum_layers(rows)
    assert round(counts.parameters / 1e6, 1) == 25.6
    assert counts.multiply_adds / 1e9 == pytest.approx(3.8, rel=0.02)
    striding = {f"conv{stage}_block1_1_conv" for stage in (3, 4, 5)}
    more = 3 * sum(row.multiply_adds for row in rows if row.name in striding)
    assert round((counts.multiply_adds + more) / 1e9, 1) == 4.1


def test_vgg16_without_its_three_dense_layers():
    # The paper's 138 million (arxiv.org/abs/1409.1556) are 14.7 and three dense layers.
    counts = complexity.sum_layers(_described("vgg16"))
    assert (
        counts.by_kind["standard"].parameters == 138_357_544 - 102_764_544 - 16_781_312 - 4_097_000
    )
    assert counts.multiply_adds / 1e9 == pytest.approx(15.3, abs=0.1)


def test_squeeze_excite_is_a_kind_of_its_own():
    rows = complexity.count_layers(backbones.build("efficientnet", 32, "none", phi=-4))
    gates = [row for row in rows if row.kind == "squeeze_excite"]
    assert gates and all(row.shape[:2] == (1, 1) for row in gates)
    assert not any("_se_" in row.name for row in rows if row.kind == "pointwise")


def test_counts_are_complete_whatever_is_frozen():
    backbone = backbones.build("mobilenet_v2", 64, "none", alpha=0.35)
    photos = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(photos))
    network = keras.Model(photos, keras.layers.Dense(7)(pooled))
    counts = complexity.count_network(network)
    assert counts.parameters + counts.averages == network.count_params()
    learned = sum(weight.numpy().size for weight in network.trainable_weights)
    assert counts.parameters == learned
    backbones.freeze(backbone)
    assert complexity.count_network(network) == counts
    dense = complexity.count_layers(network)[-1]
    assert (dense.kind, dense.parameters, dense.multiply_adds) == ("dense", 1281 * 7, 1280 * 7)
    expected = complexity.count_classifier(1280, 7)
    assert (dense.parameters, dense.multiply_adds) == (expected.parameters, expected.multiply_adds)


def test_every_kind_is_counted_by_hand():
    photos = keras.Input((8, 6, 4))
    x = keras.layers.Conv2D(5, (3, 2), strides=2, padding="same")(photos)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(6, 1, groups=2)(x)
    found = complexity.count_network(keras.Model(photos, keras.layers.Dense(3)(x))).by_kind
    assert found["standard"].multiply_adds == 4 * 3 * (3 * 2 * 4 * 5)
    assert found["standard"].parameters == 3 * 2 * 4 * 5 + 5
    assert found["depthwise"].multiply_adds == 4 * 3 * (3 * 3 * 5 * 2)
    assert found["other"].parameters == found["other"].averages == 2 * 10
    assert found["pointwise"].multiply_adds == 4 * 3 * (10 // 2 * 6)
    assert found["dense"].multiply_adds == 4 * 3 * (6 * 3)  # once for each position


@pytest.mark.slow
def test_the_command_prints_a_table_and_json():
    words = (
        "describe",
        "mobilenet",
        "--alpha",
        "0.25",
        "--image_size",
        "64",
        "--classes",
        "203094",
    )
    text = gld2(*words).stdout
    found = json.loads(gld2(*words, "--json").stdout)
    assert (found["backbone"], found["image_size"], found["classes"]) == ("mobilenet", 64, 203094)
    for key in ("parameters", "multiply_adds"):
        assert found[key] == sum(row[key] for row in found["layers"])
        assert found[key] == sum(part[key] for part in found["by_kind"].values())
    assert found["by_kind"]["dense"]["parameters"] == 257 * 203094
    for row in found["layers"]:
        assert f"{row['multiply_adds']:,}" in text.split(f"\n{row['name']} ", 1)[1].split("\n")[0]
    assert "64 x 64" in text.splitlines()[-1]


def test_a_wrong_network_is_named_as_it_was_given():
    with pytest.raises(UserError, match=r"^BACKBONE nonsense: expected one of efficientnet_b0, "):
        describe.main(["nonsense"])
