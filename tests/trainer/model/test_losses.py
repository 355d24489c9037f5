import numpy as np
import pytest
import tensorflow as tf

from trainer.model import losses

SCALE = 30.0
LABELS = np.array([0, 3, 1, 1, 2])


def _cross_entropy(targets, logits):
    """[batch, classes] shares and logits, in float64."""
    logits = logits.astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -(targets * logs).sum(axis=1)


def _arcface(cosines, labels, margins):
    """[batch, classes] logits as the paper has them: cos(angle + margin) where one is true."""
    angles = np.arccos(cosines.astype(np.float64))
    one_hot = np.eye(cosines.shape[1])[labels]
    turned = angles + one_hot * margins
    past = cosines - margins * np.sin(margins)  # a margin's end lies past 180 degrees
    return SCALE * np.where(turned < np.pi, np.cos(turned), past)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_margin_is_that_of_arcface(smoothing):
    cosines = np.random.default_rng(0).uniform(-1, 1, (50, 4)).astype(np.float32)
    labels = np.arange(50) % 4
    margins = np.array([0.0, 0.2, 0.5, 1.0])
    cosines[:4, :] = -0.95  # past 180 degrees, where the margin is 0.5 or 1
    plain = losses.smoothed_cross_entropy(smoothing)
    found = np.array(losses.with_margin(plain, margins, SCALE)(labels, cosines * SCALE))
    targets = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = _cross_entropy(targets, _arcface(cosines, labels, margins))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("cosine", [1.0, -1.0, 1.0001, -1.0001])
def test_gradients_are_finite_where_the_sine_is_zero(cosine):
    logits = tf.constant(SCALE * np.array([[cosine, 0.3], [0.2, cosine]], np.float32))
    loss = losses.with_margin(losses.smoothed_cross_entropy(0.0), np.array([0.3, 0.3]), SCALE)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = tf.reduce_sum(loss(np.array([0, 1]), logits))
    assert np.all(np.isfinite(tape.gradient(value, logits)))
    assert np.isfinite(value)


def test_margins_lie_between_the_bounds_and_rise_as_classes_shrink():
    sizes = np.array([10_000, 1, 50, 2, 0, 700])
    margins = losses.margins_by_size(sizes, (0.2, 0.5))
    assert margins[sizes.argmax()] == pytest.approx(0.2)
    assert margins[sizes.argmin()] == pytest.approx(0.5)
    falling = margins[np.argsort(sizes, kind="stable")]
    assert np.all(np.diff(falling[1:]) < 0)  # of 0 and 1 photos the margin is the same
    # a * size**(-1/4) + b, through both ends.
    slope = 0.3 / (1 - 10_000**-0.25)
    assert margins[2] == pytest.approx(0.2 + slope * (50**-0.25 - 10_000**-0.25), rel=1e-5)


@pytest.mark.parametrize(("sizes", "bounds"), [([3, 9, 1], (0.3,)), ([5, 5, 5], (0.3, 0.6))])
def test_one_bound_or_classes_alike_give_one_margin(sizes, bounds):
    assert losses.margins_by_size(np.array(sizes), bounds) == pytest.approx([0.3] * 3)


def test_mixed_is_the_cross_entropy_of_mixed_targets():
    logits = np.random.default_rng(0).normal(0, 3, (5, 4)).astype(np.float32)
    others = np.roll(LABELS, 1)
    share = np.array([0.5, 0.9, 1.0, 0.7, 0.6])
    targets = np.stack([LABELS, others, share], axis=1).astype(np.float32)
    found = losses.with_mixup(losses.smoothed_cross_entropy(0.0))(targets, logits)
    one_hot = share[:, None] * np.eye(4)[LABELS] + (1 - share)[:, None] * np.eye(4)[others]
    np.testing.assert_allclose(np.array(found), _cross_entropy(one_hot, logits), rtol=1e-4)


def test_is_best_by_label_and_by_the_greater_part():
    logits = np.array([[3, 1, 2], [0, 5, 1], [1, 2, 0]], np.float32)
    assert np.array(losses.is_correct(np.array([0, 2, 1]), logits)).tolist() == [1, 0, 1]
    mixed = np.array([[0, 1, 0.8], [2, 1, 0.6], [1, 0, 1.0]], np.float32)
    assert np.array(losses.is_correct(mixed, logits)).tolist() == [1, 0, 1]
