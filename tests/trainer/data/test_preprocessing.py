import numpy as np
import pytest
import tensorflow as tf

from trainer.data import preprocessing


def _jpeg(height=60, width=90):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return tf.io.encode_jpeg(pixels, quality=95)


@pytest.mark.parametrize("encode", [tf.io.encode_jpeg, tf.io.encode_png])
@pytest.mark.parametrize("channels", [1, 3])
def test_whole_takes_any_format_and_size(encode, channels):
    encoded = encode(np.full((7, 50, channels), 100, np.uint8))
    square = preprocessing.whole(encoded, 32).numpy()
    assert square.shape == (32, 32, 3)
    assert square.dtype == np.float32
    np.testing.assert_allclose(square, 100, atol=2)


def test_whole_averages_when_it_shrinks():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    square = preprocessing.whole(tf.io.encode_png(stripes), 16).numpy()
    np.testing.assert_allclose(square[4:-4, 4:-4], 100, atol=10)


def test_augmented_depends_on_the_seed_alone():
    views = [
        preprocessing.random_view(
            _jpeg(), 32, tf.constant([1, place], tf.int64), 0.5, 0.2, 0.5
        ).numpy()
        for place in (0, 0, 1)
    ]
    np.testing.assert_array_equal(views[0], views[1])
    assert np.abs(views[0].astype(int) - views[2]).max() > 1
    assert {(view.dtype.name, view.shape) for view in views} == {("uint8", (32, 32, 3))}


def test_augmented_with_everything_off_is_whole():
    view = preprocessing.random_view(_jpeg(), 32, tf.constant([1, 2], tf.int64), 1.0, 0.0, 0.0)
    np.testing.assert_allclose(view, preprocessing.whole(_jpeg(), 32), atol=0.51)


@pytest.mark.parametrize("smallest", [0.1, 0.5])
def test_random_window_keeps_the_share(smallest):
    shares = []
    for place in range(50):
        window = preprocessing.random_crop_window(
            tf.constant([90, 120]), tf.constant([0, place]), smallest
        )
        top, left, height, width = window.numpy()
        assert 0 <= top <= 90 - height
        assert 0 <= left <= 120 - width
        shares.append(height * width / (90 * 120))
    assert min(shares) > 0.95 * smallest
    assert 0.8 < max(shares) <= 1.0


def test_random_window_of_a_tiny_photo():
    window = preprocessing.random_crop_window(tf.constant([1, 1]), tf.constant([0, 0]), 0.05)
    assert window.numpy().tolist() == [0, 0, 1, 1]


def test_random_colour_is_three_steps_in_one():
    photo = np.random.default_rng(0).uniform(0, 255, (8, 8, 3)).astype(np.float32)
    seed = tf.constant([3, 4])
    brightness, contrast, saturation = tf.random.stateless_uniform([3], seed, 0.7, 1.3).numpy()
    expected = photo * brightness
    expected = expected.mean() + (expected - expected.mean()) * contrast
    grey = (expected @ np.array([0.299, 0.587, 0.114]))[..., np.newaxis]
    expected = grey + (expected - grey) * saturation
    np.testing.assert_allclose(preprocessing.jitter_color(photo, seed, 0.3), expected, atol=1e-2)
