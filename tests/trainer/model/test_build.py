import keras
import numpy as np
import pytest

from pipelines.common.labels import Label
from trainer.config import FINE, HEAD, SCRATCH, Phase
from trainer.model import build

LABELS = [Label(place, 1000 + place, 10) for place in range(3)]


def _moved(config, phase):
    """Names of the variables that one epoch of a phase changes."""
    network = build.build(config, 3)
    # From zero, a classifier gives its backbone no gradient at the first step.
    head = network.get_layer("logits")
    head.set_weights([np.ones_like(head.get_weights()[0]) * [1, 0, -1], head.get_weights()[1]])
    build.compile_for(network, config, Phase(phase, 0, 1, 0.01), 3, 32, LABELS)
    before = [np.array(variable) for variable in network.variables]
    photos = np.random.default_rng(0).uniform(0, 255, (12, 32, 32, 3))
    network.fit(photos, np.arange(12) % 3, batch_size=4, verbose=0)
    return {
        variable.path
        for variable, old in zip(network.variables, before, strict=True)
        if "seed" not in variable.path and not np.array_equal(old, np.array(variable))
    }


def test_the_head_phase_moves_nothing_else(pretrained):
    moved = _moved(pretrained, HEAD)
    assert moved == {"logits/kernel", "logits/bias"}


@pytest.mark.slow
def test_fine_tuning_keeps_the_averages_of_batch_normalisation(pretrained):
    moved = _moved(pretrained, FINE)
    assert any("conv1/kernel" in name for name in moved)
    assert not any("moving" in name for name in moved)


@pytest.mark.slow
def test_training_from_scratch_moves_the_averages_fast(config):
    moved = _moved(config, SCRATCH)
    assert any("conv1_bn/moving_mean" in name for name in moved)
    (backbone,) = (la for la in build.build(config, 3).layers if isinstance(la, keras.Model))
    assert backbone.get_layer("conv1_bn").momentum == config.bn_momentum


def test_scores_are_the_softmax_of_the_logits(config):
    network = build.build(config, 3)
    network.get_layer("logits").set_weights([np.ones((256, 3)) * [1, 0, -1], np.array([1, 2, 3])])
    photos = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8)
    logits = network.predict(photos, verbose=0)
    scores = build.with_scores(network).predict(photos.astype(np.float32), verbose=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


@pytest.mark.parametrize(("batch", "peak"), [(32, 0.5), (8, 0.125)])
def test_the_rate_warms_up_and_falls_and_scales_with_the_batch(config, batch, peak):
    network = build.build(config, 3)
    build.compile_for(network, config, Phase(SCRATCH, 0, 1, 0.5), 100, batch, LABELS)
    rates = []
    for step in (0, 5, 10, 55, 100):
        network.optimizer.iterations.assign(step)
        rates.append(float(network.optimizer.learning_rate))
    assert rates == pytest.approx([0, peak / 2, peak, peak / 2, 0], abs=1e-3)
