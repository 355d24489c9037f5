"""The paired bootstrap against one that draws queries one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from pipelines.common.errors import UserError
from pipelines.evaluate import bootstrap, metrics
from pipelines.evaluate.comparison import compare, ranked_submission
from tests.pipelines.common.test_gap import slow_gap, tables

QUERIES = 60


def submission(seed: int, skill: float) -> tuple[list, dict]:
    """Predictions of some queries, and all truth; of the same truth whatever the seed."""
    truth = {f"{n:016x}": {n % 7} if n % 3 else set() for n in range(QUERIES)}
    truth[f"{7:016x}"] = {1, 2}
    rng = np.random.default_rng(seed)
    made = [
        (query, min(classes, default=3) if rng.random() < skill else 9, round(rng.random(), 1))
        for query, classes in truth.items()
        if rng.random() < 0.9
    ]
    return made, truth


@pytest.fixture(scope="module")
def joined() -> dict[str, pd.DataFrame]:
    found = {"a": submission(1, 0.8), "b": submission(2, 0.5), "c": submission(3, 0.5)}
    return {name: metrics.join(*tables(*of)) for name, of in found.items()}


def entries(joined: dict[str, pd.DataFrame]) -> list[bootstrap.RankedSubmission]:
    return [ranked_submission(rows, metrics.ranking(rows)) for rows in joined.values()]


def test_equals_drawing_queries_one_by_one(joined):
    labelled = joined["a"]["labelled"].to_numpy()
    found = bootstrap.resample(entries(joined), labelled, 20, seed=5)
    rng = np.random.default_rng(5)
    for number in range(20):
        drawn = rng.integers(QUERIES, size=QUERIES)
        for place, (seed, skill) in enumerate([(1, 0.8), (2, 0.5), (3, 0.5)]):
            made, truth = submission(seed, skill)
            by_query = {query: rest for query, *rest in made}
            ids = [(f"{q:016x}", f"{q:016x}-{copy}") for copy, q in enumerate(drawn)]
            copies = {copy: truth[query] for query, copy in ids}
            rows = [(copy, *by_query[query]) for query, copy in ids if query in by_query]
            expected = slow_gap(rows, copies)
            right = sum(predicted in copies[copy] for copy, predicted, _ in rows)
            assert found.gap[place, number] == pytest.approx(expected, abs=1e-12)
            assert found.accuracy[place, number] == right / sum(map(bool, copies.values()))


def test_the_seed_alone_decides(joined):
    labelled = joined["a"]["labelled"].to_numpy()
    first, again, other = (
        bootstrap.resample(entries(joined), labelled, 30, seed).gap for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_resamples_without_a_labelled_query_are_left_out():
    made, truth = [("a", 5, 0.5)], {"a": {5}, "b": set(), "c": set(), "d": set()}
    rows = metrics.join(*tables(made, truth))
    labelled = rows["labelled"].to_numpy()
    entry = ranked_submission(rows, metrics.ranking(rows))
    found = bootstrap.resample([entry], labelled, 200, seed=0)
    assert found.gap.shape == found.accuracy.shape
    assert 0.5 < found.gap.shape[1] / 200 < 0.9  # 1 - (3 / 4) ** 4 is 0.68
    assert (found.gap == 1).all()
    with pytest.raises(UserError, match="--resamples 1: expected more"):
        seeds = range(20)
        [bootstrap.resample([entry], labelled, 1, seed) for seed in seeds]


def test_a_difference_has_its_interval():
    resampled = np.array([np.arange(1000) / 1000, np.full(1000, 0.1)])
    found = bootstrap.difference([0.6, 0.1], resampled)
    assert found.difference == pytest.approx(0.5)
    assert found.low == pytest.approx(0.025 - 0.1, abs=1e-3)
    assert found.high == pytest.approx(0.975 - 0.1, abs=1e-3)
    assert (found.better, found.worse) == (0.899, 0.1)


def test_pairs_of_a_comparison(joined):
    found = compare(joined | {"same": joined["a"]}, resamples=300, seed=0)
    pairs = {(pair.a, pair.b): pair for pair in found.pairs}
    assert list(pairs) == list(itertools.combinations(["a", "b", "c", "same"], 2))
    better = pairs["a", "b"].gap
    assert better.low > 0
    assert better.better > 0.97
    scores = {name: found.submissions[name]["all"].gap for name in "ab"}
    assert better.difference == pytest.approx(scores["a"] - scores["b"])
    unsure = pairs["b", "c"].accuracy
    assert unsure.low < 0 < unsure.high
    same = pairs["a", "same"].gap
    assert (same.low, same.high, same.better, same.worse) == (0, 0, 0, 0)
