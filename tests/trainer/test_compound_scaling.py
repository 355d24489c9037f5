import pytest

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
