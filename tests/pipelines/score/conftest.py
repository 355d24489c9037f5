"""A model that Keras reads, built once for all tests that score with it."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator

import pytest

from tests.conftest import built_once
from tests.pipelines.exports import make_export


@pytest.fixture(scope="session")
def keras_export(
    prepared: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pathlib.Path]:
    build = functools.partial(make_export, prepared)
    with built_once(tmp_path_factory, "keras_export", build) as folder:
        yield folder
