"""GAP against its definition, written out slowly here."""

from __future__ import annotations

import csv
import functools
import pathlib
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.common import gap
from pipelines.common.errors import UserError
from pipelines.evaluate import metrics
from pipelines.evaluate.figures import evaluate
from pipelines.kaggle import submission
from tests.conftest import SHARED, needs_shared


def slow_gap(rows, truth) -> float:
    """rows: (id, class, score); truth: id -> set of classes."""
    ranked = sorted(rows, key=lambda row: (-row[2], row[0], row[1]))
    right, total = 0, 0.0
    for rank, (query, predicted, _) in enumerate(ranked, start=1):
        if predicted in truth[query]:
            right += 1
            total += right / rank
    return total / sum(bool(classes) for classes in truth.values())


def tables(rows, truth, usage="Public"):
    made = {query: (predicted, score) for query, predicted, score in rows}
    predictions = pd.DataFrame(
        {
            "id": list(truth),
            "landmark_id": [made[q][0] if q in made else -1 for q in truth],
            "score": [made[q][1] if q in made else np.nan for q in truth],
        }
    )
    cells = [" ".join(map(str, sorted(classes))) for classes in truth.values()]
    solution = pd.DataFrame({"id": list(truth), "landmarks": cells, "Usage": usage})
    return predictions, solution


WORKED_TRUTH = {"a": {5}, "b": {7, 8}, "c": set(), "d": {9}, "e": set()}
WORKED_ROWS = [("b", 8, 0.9), ("c", 5, 0.8), ("a", 5, 0.8), ("d", 1, 0.4)]


queries = st.lists(
    st.tuples(
        st.sets(st.integers(0, 3), max_size=2),  # truth
        st.none() | st.tuples(st.integers(0, 3), st.sampled_from([-1.5, 0.0, 0.5, 2.0])),
    ),
    min_size=1,
    max_size=25,
).filter(lambda rows: any(truth for truth, _ in rows))


def world(rows):
    """Predictions (id, class, score), and id -> set of classes."""
    truth = {f"{i:016x}": classes for i, (classes, _) in enumerate(rows)}
    return [(q, *p) for q, (_, p) in zip(truth, rows, strict=True) if p], truth


@given(queries)
def test_equals_the_definition(rows):
    made, truth = world(rows)
    found = evaluate(*tables(made, truth))["all"]
    assert found.gap == pytest.approx(slow_gap(made, truth), abs=1e-12)


@given(queries, st.randoms())
def test_row_order_and_monotone_scores_change_nothing(rows, random):
    predictions, solution = tables(*world(rows))
    before = evaluate(predictions, solution)["all"].gap
    order = list(range(len(predictions)))
    random.shuffle(order)
    shuffled = predictions.iloc[order].assign(score=lambda t: np.exp(t["score"]) * 3)
    assert evaluate(shuffled, solution)["all"].gap == before


@given(queries, st.randoms())
def test_the_order_of_the_solution_changes_nothing(rows, random):
    predictions, solution = tables(*world(rows))
    order = list(range(len(solution)))
    random.shuffle(order)
    shuffled = evaluate(predictions, solution.iloc[order])
    assert shuffled == evaluate(predictions, solution)


@given(queries, st.sets(st.integers(0, 3), max_size=2))
def test_a_wrong_top_prediction_never_raises_it(rows, classes):
    made, truth = world(rows)
    truth["f" * 16] = classes
    before = evaluate(*tables(made, truth))["all"]
    after = evaluate(*tables([*made, ("f" * 16, 9, 3.0)], truth))["all"]
    assert after.gap <= before.gap
    assert (after.gap < before.gap) == (before.accuracy > 0)


@given(queries)
def test_it_lies_between_0_and_1(rows):
    found = evaluate(*tables(*world(rows)))["all"]
    assert 0 <= found.gap <= found.accuracy <= 1
    assert min(found.precision, found.macro_precision, found.macro_recall) >= 0
    assert max(found.precision, found.macro_precision, found.macro_recall) <= 1


@given(queries, st.randoms())
def test_a_perfect_submission_has_1(rows, random):
    _, truth = world(rows)
    made = [(q, random.choice(sorted(classes)), random.random()) for q, classes in truth.items()
            if classes]  # fmt: skip
    low = [(q, 5, -1.0) for q, classes in truth.items() if not classes and random.random() < 0.5]
    found = evaluate(*tables(made + low, truth))["all"]
    assert (found.gap, found.accuracy, found.macro_recall) == (1, 1, 1)


@given(queries, st.lists(st.integers(0, 3), min_size=25, max_size=25))
def test_repeated_queries_count_as_often_as_they_come(rows, times):
    made, truth = world(rows)
    often = dict(zip(truth, times, strict=False))
    labelled = sum(often[query] for query, classes in truth.items() if classes)
    copies = {f"{q}-{n}": classes for q, classes in truth.items() for n in range(often[q])}
    ranked = metrics.ranking(metrics.join(*tables(made, truth)))
    count = np.array([often[query] for query, _, _ in made], int)[ranked.order]
    if labelled:
        expected = slow_gap(
            [(f"{q}-{n}", c, s) for q, c, s in made for n in range(often[q])], copies
        )
        found = gap.resampled_gap(
            np.flatnonzero(ranked.correct), count, labelled, gap.harmonic_numbers(100)
        )
        assert found == pytest.approx(expected, abs=1e-12)


def test_macro_figures_are_means_over_landmarks():
    truth = {"a": {5}, "b": {5}, "c": {7, 8}, "d": set(), "e": {9}}
    made = [("a", 5, 0.9), ("b", 7, 0.8), ("c", 7, 0.7), ("d", 6, 0.6)]
    found = evaluate(*tables(made, truth))["all"]
    assert found.macro_precision == pytest.approx((1 / 1 + 1 / 2 + 0 / 1) / 3)  # of 5, 7, 6
    assert found.macro_recall == pytest.approx((1 / 2 + 1 + 1 + 0) / 4)  # of 5, 7, 8, 9
    assert (found.precision, found.recall) == (2 / 4, 2 / 4)


# ---- the real solution ----------------------------------------------------------------------

REAL = SHARED / "gld2-metadata" / "recognition_solution_v2.1.csv"


@functools.cache
def real_truth() -> dict[str, tuple[set[int], str]]:
    """id -> landmarks and usage, read here and not by the code under test."""
    with REAL.open(newline="") as file:
        return {
            row["id"]: ({int(word) for word in row["landmarks"].split()}, row["Usage"])
            for row in csv.DictReader(file)
        }


def right(classes: set[int], rng: random.Random) -> int:
    return rng.choice(sorted(classes)) if classes else rng.randrange(203_094)


def wrong(classes: set[int], rng: random.Random) -> int:
    return 999_999


def mixed(classes: set[int], rng: random.Random) -> int:
    return right(classes, rng) if rng.random() < 0.6 else wrong(classes, rng)


KINDS = {  # what of a query is predicted (None for nothing), and with what score
    "mixed": (mixed, lambda rng: rng.random()),
    "ties everywhere": (mixed, lambda rng: 0.5),
    "many ties": (mixed, lambda rng: round(rng.random(), 2)),
    "negative scores": (mixed, lambda rng: rng.gauss(-5, 3)),
    "scores of all sizes": (mixed, lambda rng: rng.choice([-1, 1]) * 10 ** rng.uniform(-300, 300)),
    "none": (lambda classes, rng: None, None),
    "all wrong": (wrong, lambda rng: rng.random()),
    "some empty": (
        lambda classes, rng: mixed(classes, rng) if rng.random() < 0.5 else None,
        lambda rng: rng.random(),
    ),
    "only what shows no landmark": (
        lambda classes, rng: None if classes else 7,
        lambda rng: rng.random(),
    ),
    "only several landmarks, any of them": (
        lambda classes, rng: right(classes, rng) if len(classes) > 1 else None,
        lambda rng: rng.random(),
    ),
    "perfect": (lambda classes, rng: right(classes, rng) if classes else None, lambda rng: 1e-9),
}


@needs_shared
@pytest.mark.parametrize("kind", KINDS)
def test_full_real_solution_against_the_definition(kind: str, tmp_path: pathlib.Path):
    truth, rng = real_truth(), random.Random(kind)
    predict, score = KINDS[kind]
    guesses = {query: predict(classes, rng) for query, (classes, _) in truth.items()}
    made = [(query, guess, score(rng)) for query, guess in guesses.items() if guess is not None]
    cells = {query: f"{guess} {confidence!r}" for query, guess, confidence in made}
    path = tmp_path / "submission.csv"
    path.write_text("id,landmarks\n" + "".join(f"{q},{cells.get(q, '')}\n" for q in truth))
    found = evaluate(submission.read(str(path)), submission.read_solution(str(REAL)))
    assert len(truth) == found["all"].queries == 117_577
    for name, usages in (("all", {"Public", "Private"}), ("public", {"Public"}),
                         ("private", {"Private"})):  # fmt: skip
        mine = {query: classes for query, (classes, usage) in truth.items() if usage in usages}
        ranked = [row for row in made if row[0] in mine]
        hits = sum(guess in mine[query] for query, guess, _ in ranked)
        labelled = sum(map(bool, mine.values()))
        assert found[name].gap == pytest.approx(slow_gap(ranked, mine), abs=1e-12)
        assert found[name].accuracy == pytest.approx(hits / labelled, abs=1e-12)
        assert found[name].precision == pytest.approx(hits / max(1, len(ranked)), abs=1e-12)
        assert (found[name].labelled, found[name].predicted) == (labelled, len(ranked))


# ---- what is refused ------------------------------------------------------------------------


def test_ignored_is_dropped():
    predictions, solution = tables(WORKED_ROWS, WORKED_TRUTH)
    solution.loc[solution["id"] == "d", "Usage"] = "Ignored"
    found = evaluate(predictions, solution)["all"]
    assert (found.queries, found.labelled, found.gap) == (4, 2, 1.0)


def test_a_private_part_without_landmarks_is_named():
    predictions, solution = tables(WORKED_ROWS, WORKED_TRUTH)
    solution.loc[solution["id"].isin(["c", "e"]), "Usage"] = "Private"
    with pytest.raises(UserError, match=r"not defined: .*\(private\); .*'Public': 3, 'Private': 2"):
        evaluate(predictions, solution)


def test_other_ids_are_an_error():
    predictions, solution = tables(WORKED_ROWS, WORKED_TRUTH)
    with pytest.raises(UserError, match=r"id d has no row in the submission \(2 such ids\)"):
        evaluate(predictions[:3], solution)
    with pytest.raises(UserError, match=r"id e is not in the solution \(1 such ids\)"):
        evaluate(predictions, solution[:4])
    with pytest.raises(
        UserError, match=r"id a is not .*\(1 such ids\); id d has no .*\(2 such ids"
    ):
        evaluate(predictions[:3], solution[1:])
