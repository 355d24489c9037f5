"""The same bytes on every engine, on a disk and in a busy bucket."""

from __future__ import annotations

import itertools

import pytest

from tests.conftest import gld2
from tests.engines.conftest import Place, results, words
from tests.engines.engine import Engine

pytestmark = pytest.mark.slow

ENGINES = ("one", "two", "prism", "flink")
PLACES = ("disk", "bucket")
# All are held against the first. A storm's attempts run on two workers too.
BRIEF = ("prism bucket", "flink disk", "flink bucket")
MATRIX = [
    pytest.param(*case, marks=() if " ".join(case) in BRIEF else pytest.mark.long)
    for case in list(itertools.product(ENGINES, PLACES))[1:]
]


@pytest.mark.parametrize(("engine", "place"), MATRIX, indirect=True)
def test_the_bytes_do_not_depend_on_engine_and_place(
    engine: Engine, place: Place, expected: dict[str, str]
):
    for command, argv in words(place, *engine.flags).items():
        gld2(command, *argv)
    if place.store:
        faults = place.store.faults.counts
        assert faults["unavailable"] > 10
        assert faults["cut"] > 5
        assert faults["slow"] > 0
    place.fetch()
    assert results(place.folder) == expected
    assert len(expected) > 40
