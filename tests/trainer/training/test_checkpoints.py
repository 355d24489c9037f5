"""What becomes of one checkpoint; test_task.py kills runs between and within them."""

import os

import keras
import numpy as np
import pytest

from pipelines.common.errors import UserError
from trainer.position import START, TrainingPosition
from trainer.training import checkpoints


def _network(*layers: int) -> keras.Model:
    """A compiled network of dense layers; the state has no name by which to tell two apart."""
    network = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(n) for n in layers)])
    network.compile("adamw", "mse")
    network.optimizer.build(network.trainable_variables)
    return network


def test_what_was_saved_is_restored(tmp_path):
    saved, restored = _network(3, 2), _network(3, 2)
    saved.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    checkpoints.save(saved, str(tmp_path), TrainingPosition(1, 2), {"loss": 0.5})
    assert checkpoints.restore(restored, str(tmp_path), TrainingPosition(1, 2)) == {"loss": 0.5}
    for left, right in zip(saved.weights, restored.weights, strict=True):
        np.testing.assert_array_equal(left, right)
    assert restored.optimizer.iterations == saved.optimizer.iterations


def test_a_checkpoint_has_its_name_once_its_bytes_are_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda n: synced.append((os.fstat(n), os.listdir(tmp_path))))
    checkpoints.save(_network(2), str(tmp_path), TrainingPosition(1))
    ((file, names),) = synced
    (saved,) = tmp_path.glob("epoch-*")
    assert (file.st_ino, file.st_size) == (saved.stat().st_ino, saved.stat().st_size)
    assert names == ["unfinished.npz"]


@pytest.mark.parametrize("layers", [(3,), (3, 2, 2), (3, 5)], ids=["fewer", "more", "wider"])
def test_the_state_of_another_network_is_refused(tmp_path, layers):
    checkpoints.save(_network(*layers), str(tmp_path), TrainingPosition(1), {"loss": 0.5})
    with pytest.raises(
        UserError, match=r"epoch-00001-step-0000000\.npz holds the state of another network"
    ):
        checkpoints.restore(_network(3, 2), str(tmp_path), TrainingPosition(1))


def test_what_the_epoch_has_measured_is_not_missing(tmp_path):
    checkpoints.save(_network(2), str(tmp_path), TrainingPosition(1, 2))
    with pytest.raises(UserError, match=r"is damaged .without the loss.*remove it to continue"):
        checkpoints.restore(_network(2), str(tmp_path), TrainingPosition(1, 2))


def test_the_newest_few_are_kept(tmp_path):
    assert checkpoints.latest(str(tmp_path)) == START
    for place in [TrainingPosition(1), TrainingPosition(1, 9), TrainingPosition(1, 10)]:
        checkpoints.save(_network(2), str(tmp_path), place)
    assert checkpoints.latest(str(tmp_path)) == TrainingPosition(1, 10)
    assert len(list(tmp_path.iterdir())) == 2
