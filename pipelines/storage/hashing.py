"""Digests of bytes, and an order of ids that depends on a seed alone"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd


def sha256(data: bytes) -> str:
    """64 hex of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def order_key(ids: pd.Series, seed: int) -> np.ndarray:
    """[rows] uint64: an order of ids that depends on the seed and on nothing else."""
    return pd.util.hash_array(ids.to_numpy(object), hash_key=f"{seed:016d}"[-16:])
