"""No group of any GroupByKey grows with the largest landmark or the most common hash: at GLDv2's
scale each is a small share of all, so that no worker is left alone with the work.

Made-up facts with GLDv2's class sizes and hashes like those of real photos go through gld2 curate
and gld2 shard, in as many partitions as GLDv2 would take. What each group holds is counted as it
passes. There are no photos behind the facts: no shard is written.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pandas as pd
import pytest

from pipelines.common.paths import Output
from pipelines.curate import validation_split
from pipelines.curate.command import main as curate_main
from pipelines.curate.near_duplicates import multi_index_hashing
from pipelines.runner import engine, partition
from pipelines.runner.options import beam_options
from pipelines.shard import pipeline as shard_pipeline
from pipelines.shard import publish
from pipelines.shard.options import ShardOptions
from pipelines.shard.plan import ShardPlan, make_plan
from tests import planted
from tests.benchmarks import curate_scale
from tests.conftest import needs_shared

ROWS = 20_000
PARTITIONS = partition.partition_count(curate_scale.TRAIN + curate_scale.TEST)
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
    return len(some) // multi_index_hashing.PHOTO.itemsize if isinstance(some, bytes) else len(some)


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> dict[str, collections.Counter]:
    folder = tmp_path_factory.mktemp("skew")
    source, output = folder / "source", folder / "output"
    rng = np.random.default_rng(0)
    made = curate_scale.photos(ROWS, curate_scale.fit(planted.photos()[::12]), rng)
    curate_scale.write(made, source, Output(str(output)), rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "ROWS", -(-len(made.ids) // PARTITIONS))
        patch.setattr(beam, "GroupByKey", tapped("GroupByKey", beam.GroupByKey))
        patch.setattr(beam, "CoGroupByKey", tapped("CoGroupByKey", beam.CoGroupByKey))
        curate_main([f"--source={source}", f"--output={output}"])
        patch.setattr(shard_pipeline, "write_shard", lambda *_: None)
        patch.setattr(publish, "publish", lambda *_: None)
        plan = make_plan(Output(str(output)), ShardOptions(shard_size_mb=4))
        beams = beam_options("shard", [])
        engine.run(lambda pipeline: pipeline | shard_pipeline.Shard(plan), beams)
        NUMBERS["Shard/Split_facts"] = partition.partition_count(sum(plan.images.values()))
    NUMBERS["Shard/ByShard"] = sum(plan.shards.values())
    return GROUPS


def ends(groups: Iterable[str], end: str) -> str:
    (found,) = (step for step in groups if step.endswith(end))
    return found


NUMBERS = {  # the step before a grouping -> its groups at GLDv2's scale
    "FindPairs/ByBytes": PARTITIONS * multi_index_hashing.BYTES,
    "FindPairs/ById": PARTITIONS,
    "Join/Split_facts": PARTITIONS,
    "BySha256/Split": PARTITIONS,
    "ByLandmark/Split": PARTITIONS,
}  # of shards: by what is kept
BOUNDS = {  # beside an even share: so many times as much at the most
    "FindPairs/ByBytes": 3,
    "FindPairs/ById": 5,  # few rows: a burst of photos shows
    "Join/Split_facts": 3,
    "BySha256/Split": 3,
    "ByLandmark/Split": 3,
    "Shard/Split_facts": 3,
    "Shard/ByShard": 3,
}


@pytest.mark.long
@needs_shared
@pytest.mark.parametrize("step", BOUNDS)
def test_no_group_holds_much_of_all(groups, step: str):
    rows = groups[ends(groups, step)]
    assert len(rows) == NUMBERS[step]
    assert max(rows.values()) * NUMBERS[step] < BOUNDS[step] * rows.total()


@pytest.mark.parametrize("share", [None, 0.1])
def test_what_chooses_validation_does_not_choose_the_shard(share: float | None):
    ids = pd.Series([f"{number:016x}" for number in range(20_000)])
    train = pd.DataFrame({"id": ids, "landmark_id": np.arange(len(ids)) % 1000})
    chosen = validation_split.choose_validation(train, share, seed=0)
    images = train.assign(split=np.where(chosen, "validation", "train"))
    plan = ShardPlan(Output("out"), "1.0.0", {"train": 20, "validation": 4}, {}, 0, "", {}, [])
    rows = {key: len(table) for key, table in shard_pipeline.by_shard(images, plan)}
    for name, number in plan.shards.items():
        found = [rows[name, shard] for shard in range(number)]
        assert max(found) < 1.3 * min(found), found
