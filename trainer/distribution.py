"""Distributes a run's batches and its head over the devices, and reads tensors back from them."""

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

GATHERED = "gathered"  # the output [batch] of layers with this prefix is replicated on every device


def spread(devices: Devices, batches: Sequence[int], shard_head: bool) -> Devices:
    """Sets up Keras to split each batch over the devices, and optionally the head's classes too.

    Every device gets the same number of photos; where the batch size does not divide, some devices
    stay idle, and a message says so.

    Args:
      devices: from `find_devices`.
      batches: the sizes that a batch may have, photos.
      shard_head: whether the classifier's weights are split over the devices, not replicated.

    Returns:
      The devices that take part.

    Raises:
      UserError: the batch cannot be split over the hosts, or the head over the devices.
    """
    whole = math.gcd(*batches)
    used = max(n for n in range(1, len(devices.names) + 1) if whole % n == 0)
    if used < len(devices.names):
        problem = f"a batch of {' or '.join(map(str, batches))} is split over {used} of {devices}"
        if devices.hosts > 1:
            raise UserError(f"--batch_size: {problem}; with several hosts, all have to take part")
        print(
            f"{problem}; to use all, let --batch_size be a multiple of {len(devices.names)}",
            flush=True,
        )
    devices = dataclasses.replace(devices, names=devices.names[:used])
    if devices.backend == JAX:
        _distribute(devices, shard_head)
    return devices


def _distribute(devices: Devices, shard_head: bool) -> None:
    """Sets a mesh with one axis, along which both the photos and the head's classes are split.

    Between the two, the photos' embeddings are gathered: they are small, the head is not.
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
    """Returns the context in which to build and compile: MirroredStrategy's with several GPUs.

    On JAX and on one device it does nothing.
    """
    import tensorflow as tf

    if devices.backend == TENSORFLOW and len(devices.names) > 1:
        return tf.distribute.MirroredStrategy(devices.names).scope()
    return contextlib.nullcontext()


def to_devices(array: np.ndarray, devices: Devices) -> Any:
    """Splits this host's part of a batch over the devices, as Keras' `fit` does.

    Keras' predict_on_batch would copy all of it to each device.

    Returns:
      A global array of JAX; the array itself on TensorFlow or on one device.
    """
    if devices.backend == TENSORFLOW or len(devices.names) == 1:
        return array
    import jax
    import keras

    layout = keras.distribution.distribution().get_data_layout(array.shape)
    return jax.make_array_from_process_local_data(layout.backend_layout, array)


def to_numpy(value: Any) -> np.ndarray:
    """Returns the whole value of a tensor or variable, wherever its parts are stored.

    All hosts have to call it together.
    """
    value = getattr(value, "value", value)
    if not hasattr(value, "is_fully_addressable"):  # not JAX's
        import tensorflow as tf

        # Not np.asarray, which fails in the scope of a strategy with several devices.
        return tf.convert_to_tensor(value).numpy()
    if value.is_fully_addressable or value.is_fully_replicated:
        return np.asarray(value)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(value, tiled=True))
