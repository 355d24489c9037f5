"""Hashes file contents, and hashes ids with a seed for a reproducible order."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd


def sha256(data: bytes) -> str:
    """Returns the SHA-256 of bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def json_digest(value: Any) -> str:
    """Returns the SHA-256 of a value's JSON, 64 hex digits; the order of keys does not matter."""
    return sha256(json.dumps(value, sort_keys=True).encode())


def order_key(ids: pd.Series, seed: int) -> np.ndarray:
    """Returns a sort key for ids, [rows] uint64, that depends on the id and the seed alone."""
    return pd.util.hash_array(ids.to_numpy(object), hash_key=f"{seed:016d}"[-16:])
