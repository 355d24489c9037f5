"""Selects Keras' backend and finds the devices and hosts that a run computes on."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import glob
import importlib.util
import os
import sys
from typing import Any

from pipelines.common.errors import UserError, install
from trainer.config import AUTO

JAX, TENSORFLOW = "jax", "tensorflow"
_ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"  # by which Keras is told the hosts


def choose_backend(device: str) -> None:
    """Selects Keras' backend for a device; has to be called before anything imports Keras.

    Raises:
      UserError: the device or backend is not available, or Keras runs on another backend already.
    """
    if device == "tpu" and not _has_tpu():
        raise UserError(f"--device tpu: no TPU here, or libtpu is missing: {install('tpu')}")
    if device == "tpu" or (device == AUTO and _has_tpu()):
        os.environ["KERAS_BACKEND"] = JAX
    wanted = os.environ.get("KERAS_BACKEND", TENSORFLOW)
    if wanted not in (JAX, TENSORFLOW):
        raise UserError(f"KERAS_BACKEND {wanted}: expected {TENSORFLOW} or {JAX}")
    if wanted == JAX and importlib.util.find_spec("jax") is None:
        raise UserError(f"KERAS_BACKEND jax: jax is not installed; {install('tpu')}")
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.config.backend() != wanted:
        raise UserError(
            f"Keras runs on {loaded.config.backend()} already; {wanted} needs a new process"
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
      names: names of all devices that take part, over all hosts.
      host: index of this host, from 0.
      hosts: number of hosts.
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
        """Returns 'float32' or 'bfloat16': as wanted, or for AUTO bfloat16 on a TPU alone."""
        return wanted if wanted != AUTO else "bfloat16" if self.kind == "tpu" else "float32"

    def __str__(self) -> str:
        hosts = f" on {self.hosts} hosts" if self.hosts > 1 else ""
        return f"{len(self.names)} {self.kind}{hosts}, Keras on {self.backend}"


def find_devices(device: str) -> Devices:
    """Returns all available devices of a kind, over all hosts.

    Args:
      device: 'cpu', 'gpu', 'tpu' or AUTO.

    Raises:
      UserError: there is no such device.
    """
    import keras

    return _jax_devices(device) if keras.config.backend() == JAX else _tensorflow_devices(device)


def _jax_devices(device: str) -> Devices:
    import jax
    import tensorflow as tf

    for kind in ("GPU", "TPU"):  # TensorFlow only runs tf.data, and must not take their memory
        tf.config.set_visible_devices([], kind)
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    _join_hosts(jax)
    try:
        found = jax.devices(None if device == AUTO else device)
    except RuntimeError as error:
        raise UserError(f"--device {device}: {error}") from error
    # Sorted by host first, so that the photos of one host are adjacent in a batch.
    found = sorted(found, key=lambda one: (one.process_index, one.id))
    names = tuple(f"{one.platform}:{one.id}" for one in found)
    return Devices(JAX, found[0].platform, names, jax.process_index(), jax.process_count())


@functools.cache
def _join_hosts(jax: Any) -> None:
    """Connects to the other hosts, where there are any."""
    import keras

    if os.environ.get(_ADDRESSES):
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize()
    elif _has_tpu():
        # On a TPU VM, JAX learns the hosts from its metadata, also where it is the only host; where
        # there is no such metadata, JAX raises a ValueError.
        with contextlib.suppress(ValueError):
            jax.distributed.initialize()


def _tensorflow_devices(device: str) -> Devices:
    import tensorflow as tf

    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    kind = "gpu" if tf.config.list_logical_devices("GPU") else "cpu"
    if device not in (AUTO, kind):
        raise UserError(f"--device {device}: TensorFlow finds none here")
    names = tf.config.list_logical_devices(kind.upper())
    return Devices(TENSORFLOW, kind, tuple(one.name for one in names))
