"""The same bytes on every engine, on a disk and in a busy bucket."""

from __future__ import annotations

import pytest

from tests.conftest import gld2
from tests.engines.conftest import Place, words
from tests.engines.engine import Engine


@pytest.mark.parametrize("place", ["disk", "bucket"], indirect=True)
@pytest.mark.parametrize("engine", ["one", "two", "prism", "flink"], indirect=True)
def test_the_bytes_do_not_depend_on_engine_and_place(
    engine: Engine, place: Place, expected: dict[str, str]
):
    for command, argv in words(place, *engine.flags).items():
        gld2(command, *argv)
    if place.store:
        faults = place.store.faults.counts
        assert faults["unavailable"] > 20
        assert faults["cut"] > 5
        assert faults["slow"] > 0
    assert place.results() == expected
    assert len(expected) > 40
