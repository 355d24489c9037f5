"""How a run's photos and its head are spread over the devices, and read back from them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.common.errors import UserError
from trainer import config
from trainer.devices import JAX, TENSORFLOW, Devices

GATHERED = "gathered"  # layers with such names have their whole output, [batch], on every device


def spread(devices: Devices, batches: Sequence[int], shard_head: bool) -> Devices:
    """Makes Keras put each batch's photos on all devices, and perhaps the head's classes too.

    Every device gets the same number of photos; where the batch does not divide, some devices
    have to stand idle, which is said.

    Args:
      devices: from `find`.
      batches: the sizes that a batch may have.
      shard_head: whether the classifier's weights lie on all devices, a part on each.

    Returns:
      The devices that take part.

    Raises:
      UserError: the batch cannot be spread over the hosts, or the head over the devices.
    """
    whole = math.gcd(*batches)
    used = max(n for n in range(1, len(devices.names) + 1) if whole % n == 0)
    if used < len(devices.names):
        problem = f"a batch of {' or '.join(map(str, batches))} is spread over {used} of {devices}"
        if devices.hosts > 1:
            raise UserError(f"--batch_size: {problem}; with several hosts, it has to be over all")
        print(f"{problem}: let --batch_size be a multiple of {len(devices.names)}", flush=True)
    devices = dataclasses.replace(devices, names=devices.names[:used])
    if devices.backend == JAX:
        _distribute(devices, shard_head)
    return devices


def _distribute(devices: Devices, shard_head: bool) -> None:
    """One axis serves both: photos lie along it, and so do the head's classes.

    Between the two, the photos' embeddings are gathered, which are small, and not the head.
    """
    import keras

    if len(devices.names) == 1:
        keras.distribution.set_distribution(None)
        return
    if shard_head and config.COLUMNS % len(devices.names):
        raise UserError(
            f"--shard_head: expected a number of devices that divides {config.COLUMNS}, found "
            f"{len(devices.names)}"
        )
    mesh = keras.distribution.DeviceMesh((len(devices.names),), ("batch",), list(devices.names))
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[f"{GATHERED}_.*/output"] = (None,)
    if shard_head:
        layouts[f"{config.LOGITS}/kernel"] = (None, "batch")
        layouts[f"{config.LOGITS}/bias"] = ("batch",)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(
            layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
        )
    )


def scope(devices: Devices) -> contextlib.AbstractContextManager:
    """Where the network is built and compiled: it lies on all GPUs of TensorFlow."""
    import tensorflow as tf

    if devices.backend == TENSORFLOW and len(devices.names) > 1:
        return tf.distribute.MirroredStrategy(devices.names).scope()
    return contextlib.nullcontext()


def to_devices(array: np.ndarray, devices: Devices) -> Any:
    """This host's part of a batch, spread over the devices as `fit` would do it.

    Keras' predict_on_batch gives all of it to each device.
    """
    if devices.backend == TENSORFLOW or len(devices.names) == 1:
        return array
    import jax
    import keras

    layout = keras.distribution.distribution().get_data_layout(array.shape)
    return jax.make_array_from_process_local_data(layout.backend_layout, array)


def to_numpy(value: Any) -> np.ndarray:
    """A tensor or variable, wherever its parts lie. All hosts have to call it together."""
    value = getattr(value, "value", value)
    if not hasattr(value, "is_fully_addressable"):  # not JAX's
        import tensorflow as tf

        # Not np.asarray: what lies on several devices can be read in their scope only so.
        return tf.convert_to_tensor(value).numpy()
    if value.is_fully_addressable or value.is_fully_replicated:
        return np.asarray(value)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(value, tiled=True))
