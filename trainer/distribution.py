"""What computes: which backend of Keras, on which devices, and which host this is of several."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import glob
import importlib.util
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.common.errors import UserError
from trainer import config
from trainer.config import AUTO

JAX, TENSORFLOW = "jax", "tensorflow"
GATHERED = "gathered"  # layers with such names have their whole output, [batch], on every device
_ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"  # Keras' way to name the hosts


def choose(device: str) -> None:
    """Picks Keras' backend. To be called before anything imports Keras.

    Raises:
      UserError: there is no such device, or Keras runs on another backend already.
    """
    if device == "tpu" and not _has_tpu():
        raise UserError("--device tpu: no TPU here (or libtpu is not installed: 'gld2[tpu]')")
    if device == "tpu" or (device == AUTO and _has_tpu()):
        os.environ["KERAS_BACKEND"] = JAX
    wanted = os.environ.get("KERAS_BACKEND", TENSORFLOW)
    if wanted not in (JAX, TENSORFLOW):
        raise UserError(f"KERAS_BACKEND {wanted}: expected {TENSORFLOW} or {JAX}")
    if wanted == JAX and importlib.util.find_spec("jax") is None:
        raise UserError("KERAS_BACKEND jax: jax is not installed; pip install 'gld2[tpu]'")
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.config.backend() != wanted:
        raise UserError(
            f"Keras runs on {loaded.config.backend()} already; {wanted} needs a new one"
        )


def _has_tpu() -> bool:
    found = glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*")
    return bool(found) and importlib.util.find_spec("libtpu") is not None


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a run.

    Attributes:
      backend: JAX or TENSORFLOW.
      kind: 'cpu', 'gpu' or 'tpu'.
      names: of all that take part, over all hosts.
      host: number of this one.
      hosts: how many there are.
    """

    backend: str
    kind: str
    names: tuple[str, ...]
    host: int = 0
    hosts: int = 1

    @property
    def chief(self) -> bool:
        """Whether this host writes the files of the run."""
        return self.host == 0

    def precision(self, wanted: str) -> str:
        """'float32' or 'bfloat16'."""
        return wanted if wanted != AUTO else "bfloat16" if self.kind == "tpu" else "float32"

    def __str__(self) -> str:
        hosts = f" on {self.hosts} hosts" if self.hosts > 1 else ""
        return f"{len(self.names)} {self.kind}{hosts}, Keras on {self.backend}"


def find(device: str) -> Devices:
    """The devices that there are, of the kind asked for.

    Raises:
      UserError: there are none.
    """
    import keras

    return _find_jax(device) if keras.config.backend() == JAX else _find_tensorflow(device)


def _find_jax(device: str) -> Devices:
    import jax
    import tensorflow as tf

    for kind in ("GPU", "TPU"):  # tf.data feeds the devices, and must not take their memory
        tf.config.set_visible_devices([], kind)
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    _join(jax)
    try:
        found = jax.devices(None if device == AUTO else device)
    except RuntimeError as error:
        raise UserError(f"--device {device}: {error}") from error
    found = sorted(found, key=lambda one: (one.process_index, one.id))  # a host's photos in a row
    names = tuple(f"{one.platform}:{one.id}" for one in found)
    return Devices(JAX, found[0].platform, names, jax.process_index(), jax.process_count())


@functools.cache
def _join(jax: Any) -> None:
    """Meets the other hosts, where there are any."""
    import keras

    if os.environ.get(_ADDRESSES):
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize()
    elif _has_tpu():
        # A TPU VM tells JAX of its slice, also where it is the only one; others tell nothing.
        with contextlib.suppress(ValueError):
            jax.distributed.initialize()


def _find_tensorflow(device: str) -> Devices:
    import tensorflow as tf

    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    kind = "gpu" if tf.config.list_logical_devices("GPU") else "cpu"
    if device not in (AUTO, kind):
        raise UserError(f"--device {device}: TensorFlow finds none here")
    names = tf.config.list_logical_devices(kind.upper())
    return Devices(TENSORFLOW, kind, tuple(one.name for one in names))


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
