import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.common import gap
from trainer.devices import TENSORFLOW, Devices
from trainer.training import validation


def test_validation_adds_what_gap_says_of_all_scores():
    """One value a photo, to logits of three classes."""
    dense = keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(seed=1))
    pixels = keras.Input((2, 2, 3))
    network = keras.Model(pixels, dense(keras.layers.Flatten()(pixels)))
    network.compile()
    random = np.random.default_rng(0)
    photos = random.normal(0, 2, (31, 2, 2, 3)).astype(np.float32)
    labels = random.integers(0, 3, 31)
    ids = np.array([f"{number:016x}" for number in random.permutation(31)])
    batches = tf.data.Dataset.from_tensor_slices((photos, labels, ids)).batch(4)
    callback = validation.Validation(network, batches, 4, Devices(TENSORFLOW, "cpu", ("cpu:0",)))
    callback.set_model(network)
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)

    logits = network.predict(photos, verbose=0)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = scores.argmax(axis=1)
    correct = classes == labels
    expected = gap.rank(ids, classes, scores.max(axis=1), correct, len(labels)).gap
    assert logs["val_gap"] == pytest.approx(expected, abs=1e-6)
    assert 0 < logs["val_gap"] < 1
    assert logs["val_accuracy"] == pytest.approx(correct.mean())
    assert logs["val_loss"] == pytest.approx(-np.log(scores[range(31), labels]).mean(), rel=1e-4)
    assert logs["val_true_probability"] == pytest.approx(scores[range(31), labels].mean(), rel=1e-4)
    assert logs["loss"] == 1.0


def test_precision_and_recall_by_hand():
    found = validation.ValidationPredictions(
        ids=np.array(list("abcd")),
        labels=np.array([0, 0, 1, 5]),
        classes=np.array([0, 1, 1, 9]),
        scores=np.array([0.9, 0.8, 0.7, 0.6], np.float32),
        losses=np.zeros(4, np.float32),
    )
    values = validation.measure(found)
    # Classes 0, 1, 5 and 9: precision 1, 1/2, 0, 0; recall 1/2, 1, 0, 0.
    assert values["val_precision"] == pytest.approx(1.5 / 4)
    assert values["val_recall"] == pytest.approx(1.5 / 4)
    assert values["val_accuracy"] == 0.5
    assert values["val_gap"] == pytest.approx((1 + 2 / 3) / 4)
