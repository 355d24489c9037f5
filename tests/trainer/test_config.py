import dataclasses

import pytest

from pipelines.schema import UserError
from trainer import config as configs
from trainer.config import Config


def test_phases_of_a_pretrained_network():
    head, fine = Config(weights="imagenet", epochs=(3, 2), head_rate=0.1, fine_rate=0.01).phases
    assert (head.name, head.first, head.last, head.rate) == ("head", 0, 3, 0.1)
    assert (fine.name, fine.first, fine.last, fine.rate) == ("fine", 3, 5, 0.01)


def test_rates_scale_with_the_batch():
    small, large = (
        Config(weights="none", batch_size=size, scratch_rate=0.1).phases[0].rate
        for size in (32, 64)
    )
    assert large == pytest.approx(2 * small)


@pytest.mark.parametrize(("epochs", "names"), [((0, 2), ["fine"]), ((2, 0), ["head"])])
def test_zero_epochs_skip_a_phase(epochs, names):
    assert [phase.name for phase in Config(epochs=epochs).phases] == names


@pytest.mark.parametrize("epochs", [(5,), (2, 3)])
def test_random_weights_have_one_phase(epochs):
    (phase,) = Config(weights="none", epochs=epochs).phases
    assert (phase.name, phase.first, phase.last) == ("scratch", 0, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"backbone": "alexnet"},
        {"backbone": "resnet50", "alpha": 0.35},
        {"backbone": "efficientnet_b1", "phi": 0.5},
        {"backbone": "efficientnet", "phi": 8.5},
        {"image_size": 8},
        {"batch_size": 0},
        {"epochs": (5,)},
        {"epochs": (0, 0)},
        {"epochs": (1, 2, 3)},
        {"epochs": (-1, 2)},
        {"label_smoothing": 1.5},
        {"fine_rate": float("nan")},
    ],
)
def test_wrong_values_name_their_flag(wrong):
    with pytest.raises(UserError, match=f"--({'|'.join(wrong)})"):
        Config(**wrong)


def test_differences_leave_out_what_may_be_moved():
    old = Config(data="a", job_dir="b", seed=1)
    new = dataclasses.replace(old, data="c", job_dir="d", seed=2)
    before, after = configs.dumps(old, "x"), configs.dumps(new, "y")
    assert configs.differences(before, before) == []
    assert configs.differences(before, after) == ["seed: 1, now 2", "data_digest: x, now y"]
