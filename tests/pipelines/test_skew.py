"""No group of any GroupByKey grows with the largest landmark or the most common hash: at GLDv2's
scale each is a small share of all, so that no worker is left alone with the work.

Made-up facts with GLDv2's class sizes and hashes like those of real photos go through gld2 curate,
in as many partitions as GLDv2 would take. What each group holds is counted as it passes.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pytest

from pipelines import curate, hamming, repartition
from pipelines.layout import Output
from tests import planted
from tests.benchmarks import curate_scale
from tests.conftest import needs_shared

ROWS = 20_000
PARTITIONS = repartition.partitions(curate_scale.TRAIN + curate_scale.TEST)
GROUPS: dict[str, collections.Counter] = {}  # step -> rows of each of its groups


def tapped(name: str, before: beam.PTransform) -> type[beam.PTransform]:
    """The same grouping, whose groups are counted."""

    class Tapped(beam.PTransform):
        def expand(self, inputs):
            first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
            step = first.producer.full_label
            return inputs | name >> before() | "Count" >> beam.Map(count, step)

    return Tapped


def count(keyed, step: str):
    key, found = keyed
    tables = found.values() if isinstance(found, dict) else [found]
    held = [list(table) for table in tables]
    rows = sum(rows_of(some) for tables in held for some in tables)
    GROUPS.setdefault(step, collections.Counter())[key] += rows
    return key, dict(zip(found, held, strict=True)) if isinstance(found, dict) else held[0]


def rows_of(some) -> int:
    return len(some) // hamming.PHOTO.itemsize if isinstance(some, bytes) else len(some)


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> dict[str, collections.Counter]:
    folder = tmp_path_factory.mktemp("skew")
    source, output = folder / "source", folder / "output"
    rng = np.random.default_rng(0)
    made = curate_scale.photos(ROWS, curate_scale.fit(planted.photos()[::6]), rng)
    curate_scale.write(made, source, Output(str(output)), rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repartition, "ROWS", -(-len(made.ids) // PARTITIONS))
        patch.setattr(beam, "GroupByKey", tapped("GroupByKey", beam.GroupByKey))
        patch.setattr(beam, "CoGroupByKey", tapped("CoGroupByKey", beam.CoGroupByKey))
        curate.main([f"--source={source}", f"--output={output}"])
    return GROUPS


def ends(groups: Iterable[str], end: str) -> str:
    (found,) = (step for step in groups if step.endswith(end))
    return found


STEPS = {  # the step before a grouping -> its groups at GLDv2's scale, and a bound of the largest
    "FindPairs/ByBytes": (PARTITIONS * hamming.BYTES, 3),
    "FindPairs/ById": (PARTITIONS, 5),  # few rows: a burst of photos shows
    "Join/Split_facts": (PARTITIONS, 3),
    "BySha256/Split": (PARTITIONS, 3),
    "ByLandmark/Split": (PARTITIONS, 3),
}


@needs_shared
def test_these_are_all_groupings(groups):
    assert sorted(groups) == sorted(ends(groups, step) for step in STEPS)


@needs_shared
@pytest.mark.parametrize("step", STEPS)
def test_no_group_holds_much_of_all(groups, step: str):
    """Beside an even share: so many times as much at the most."""
    number, bound = STEPS[step]
    rows = groups[ends(groups, step)]
    assert len(rows) == number
    assert max(rows.values()) * number < bound * rows.total()
