import dataclasses

import pytest

from pipelines.common.errors import UserError
from trainer import config as configs
from trainer import task
from trainer.config import Config
from trainer.presets import PRESETS


@pytest.mark.parametrize(
    ("changes", "phases"),
    [
        ({}, [("head", 0, 3, 0.1), ("fine", 3, 5, 0.01)]),
        ({"head_epochs": 0}, [("fine", 0, 2, 0.01)]),
        ({"epochs": (0,)}, [("head", 0, 3, 0.1)]),
        ({"weights": "none"}, [("scratch", 0, 2, 0.2)]),
    ],
    ids=["pretrained", "no head", "no fine-tuning", "random"],
)
def test_phases_follow_from_weights_and_epochs(changes, phases):
    values = {"head_epochs": 3, "epochs": (2,), "head_rate": 0.1, "fine_rate": 0.01}
    found = Config(**{**values, "scratch_rate": 0.2, **changes}).phases
    assert [(phase.name, phase.first, phase.last, phase.rate) for phase in found] == phases


def test_each_dataset_has_its_epochs():
    phases = Config(data=("clean", "full"), head_epochs=2, epochs=(3, 1)).phases
    assert [(p.title, p.first, p.last, p.dataset) for p in phases] == [
        ("head", 0, 2, 0),
        ("fine", 2, 5, 0),
        ("fine 2", 5, 6, 1),
    ]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("data", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_presets_are_valid_and_flags_go_before_them(name, data):
    flags = ["--data", ",".join(data), "--job_dir", "j", "--preset", name]
    settings = task.parse(flags)
    assert len(settings.epochs) == len(data)
    for field, value in PRESETS[name].items():
        if field != "epochs":
            assert getattr(settings, field) == value
    changed = task.parse([*flags, "--image_size", "64", "--epochs", ",".join("1" * len(data))])
    assert (changed.image_size, changed.epochs) == (64, (1,) * len(data))


@pytest.mark.parametrize(
    "wrong",
    [
        {"backbone": "alexnet"},
        {"backbone": "resnet50", "alpha": 0.35},
        {"backbone": "efficientnet_b1", "phi": 0.5},
        {"backbone": "efficientnet", "phi": 8.5},
        {"image_size": 8},
        {"batch_size": 0},
        {"epochs": (0,), "head_epochs": 0},
        {"epochs": (1, 2)},
        {"epochs": (-1,)},
        {"head": "sigmoid"},
        {"margin": (0.1, 0.2, 0.3)},
        {"margin": (2.0,)},
        {"subcentres": 2},
        {"mixup": 0.2, "head": "arcface"},
        {"device": "quantum"},
        {"preset": "best", "data": ("a",)},
        {"weights": "imagenet", "backbone": "efficientnet_lite0"},
        {"weights": "imagenet", "backbone": "efficientnet"},
        {"label_smoothing": 1.5},
        {"fine_rate": float("nan")},
    ],
)
def test_wrong_values_name_their_flag(wrong):
    with pytest.raises(UserError, match=f"--({'|'.join(wrong)})"):
        Config(**wrong)


def test_differences_leave_out_what_may_be_moved():
    old = Config(data=("a",), job_dir="b", seed=1)
    new = dataclasses.replace(old, data=("c",), job_dir="d", device="cpu", seed=2)
    before, after = configs.dumps(old, "x"), configs.dumps(new, "y")
    assert configs.differences(before, before) == []
    assert configs.differences(before, after) == ["seed: 1, now 2", "data_digest: x, now y"]
