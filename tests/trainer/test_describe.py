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


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds", "within"),
    [  # millions, billions, with as many digits as the papers give
        ("mobilenet", 4.2, 0.569, 0.01),  # arxiv.org/abs/1704.04861
        ("mobilenet_v2", 3.5, 0.3, 0.05),  # arxiv.org/abs/1801.04381: 3.4 and 0.300
        # He et al. stride in a block's first convolution, as Keras does; the 4.1 of later papers
        # are of the variant that strides in the 3x3.
        ("resnet50", 25.6, 3.8, 0.02),
        # arxiv.org/abs/1409.1556 has 138 million and 15.5 billion, of which 123 million are in
        # three dense layers; here there is one, of 512 features.
        ("vgg16", 14.7 + 0.5, 15.3, 0.007),
        ("efficientnet_b0", 5.3, 0.39, 0.05),  # arxiv.org/abs/1905.11946, as those below
        ("efficientnet_b1", 7.8, 0.70, 0.05),
        ("efficientnet_b2", 9.2, 1.0, 0.05),
        ("efficientnet_b3", 12, 1.8, 0.05),
        pytest.param("efficientnet_b4", 19, 4.2, 0.05, marks=pytest.mark.slow),
        pytest.param("efficientnet_b5", 30, 9.9, 0.05, marks=pytest.mark.slow),
        pytest.param("efficientnet_b6", 43, 19, 0.05, marks=pytest.mark.slow),
        pytest.param("efficientnet_b7", 66, 37, 0.05, marks=pytest.mark.slow),
    ],
)
def test_published_counts(name, parameters, multiply_adds, within):
    counts = complexity.sum_layers(_described(name))
    assert counts.parameters / 1e6 == pytest.approx(parameters, rel=min(within, 0.03))
    # B4's and B5's layers as published do 4.6 % and 3.7 % more than the paper says.
    assert counts.multiply_adds / 1e9 == pytest.approx(multiply_adds, rel=within)


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
    assert complexity.count_layers(network)[-1].parameters == 1281 * 7


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
    values = {"alpha": 0.25, "image_size": 64, "classes": 203094}
    text = gld2("describe", "mobilenet", **values).stdout
    found = json.loads(gld2("describe", "mobilenet", "--json", **values).stdout)
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
