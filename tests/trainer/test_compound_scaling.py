import subprocess
import sys

import pytest

from tests.conftest import ROOT
from trainer import compound_scaling, config

NEAREST = dict(zip(compound_scaling.PUBLISHED, (0, 0.5, 1, 2, 3.5, 5, 6, 7), strict=True))


@pytest.mark.parametrize(("name", "phi"), NEAREST.items())
def test_published_networks_are_near_a_phi(name, phi):
    computed, published = compound_scaling.compound(phi), compound_scaling.PUBLISHED[name]
    assert computed.width == pytest.approx(published.width, rel=0.05)
    assert computed.resolution == pytest.approx(published.resolution, rel=0.045)
    # Rounded by hand, and the deeper they are the more of their blocks were left out.
    assert 0.995 <= computed.depth / published.depth < 1.16
    assert computed.dropout == pytest.approx(published.dropout, abs=0.06)


def test_phi_0_is_b0_and_phi_1_has_b2s_width_and_depth():
    assert compound_scaling.compound(0) == compound_scaling.B0
    computed, published = (
        compound_scaling.compound(1),
        compound_scaling.PUBLISHED["efficientnet_b2"],
    )
    assert (computed.width, computed.depth) == (published.width, published.depth)


def test_each_phi_doubles_the_work():
    # Multiply-adds grow with depth, and with the squares of width and resolution.
    scale = compound_scaling.compound(1)
    work = scale.depth * scale.width**2 * (scale.resolution / compound_scaling.B0.resolution) ** 2
    assert work == pytest.approx(2, rel=0.06)  # 1.2 * 1.1^2 * 1.15^2 is 1.92


@pytest.mark.parametrize(
    ("backbone", "phi", "pixels"),
    [
        ("efficientnet_b0", 0, 224),
        ("efficientnet_b7", 0, 600),
        ("efficientnet_lite0", 0, 224),
        ("resnet50", 0, 224),
        ("efficientnet", 0, 224),
        ("efficientnet", 0.5, 240),
        ("efficientnet", -3, 148),
    ],
)
def test_resolution(backbone, phi, pixels):
    assert compound_scaling.resolution(backbone, phi) == pixels


def test_every_backbone_has_a_resolution_that_its_flag_accepts():
    sizes = [(backbone, 0.0) for backbone in config.BACKBONES]
    for backbone, phi in [*sizes, ("efficientnet", -4.0), ("efficientnet", 8.0)]:
        side = compound_scaling.resolution(backbone, phi)
        found = config.Config(backbone=backbone, weights="none", phi=phi, image_size=side)
        assert found.image_size == side


def test_it_needs_neither_keras_nor_tensorflow():
    code = "import sys, trainer.compound_scaling; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "trainer.compound_scaling" in loaded
    assert not {"keras", "tensorflow"} & set(loaded)
