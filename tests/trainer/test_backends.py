"""TensorFlow's and JAX's logits of the same weights are the same."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.trainer import logits

# With the others, one of each builder in trainer/model/backbones.py. B1 to B7 are B0's code with
# other numbers, as a phi is; resnet101 and 152 are resnet50's with more blocks.
NETWORKS = ("efficientnet_b0", "mobilenet_v2", "resnet50")
OTHERS = ("efficientnet 0.5", "efficientnet_lite0", "mobilenet", "vgg16")
DEEPEST = ("efficientnet_b7", "resnet152")


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(NETWORKS, id="paper"),
        pytest.param(OTHERS, id="others", marks=pytest.mark.long),
        pytest.param(DEEPEST, id="deepest", marks=pytest.mark.long),
    ],
)
def test_logits_agree(tmp_path, names):
    pytest.importorskip("jax", reason="needs the extra 'test' or 'tpu'")
    expected = {}
    for name in names:
        keras.utils.set_random_seed(0)
        network = logits.build(name)
        logits.settle(network)
        network.save_weights(tmp_path / f"{name}.weights.h5")
        expected[name] = logits.compute(network)
    command = [sys.executable, "-m", "tests.trainer.logits", str(tmp_path), *names]
    env = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run(command, cwd=ROOT, env=env, check=True)  # one start of JAX for all of them
    for name in names:
        assert expected[name].std(axis=0).min() > 0.01, f"{name} hardly looks at the photos"
        found = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-3, err_msg=name)
