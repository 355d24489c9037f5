"""GAP against its definition, written out slowly here."""

from __future__ import annotations

import pathlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import evaluate, submission
from pipelines.schema import UserError
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


def test_worked_example():
    found = evaluate.evaluate(*tables(WORKED_ROWS, WORKED_TRUTH))["public"]
    assert found.gap == pytest.approx(2 / 3, abs=1e-12)
    assert (found.queries, found.labelled, found.predicted) == (5, 3, 4)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(2 / 4)


queries = st.lists(
    st.tuples(
        st.sets(st.integers(0, 3), max_size=2),  # truth
        st.none() | st.tuples(st.integers(0, 3), st.sampled_from([-1.5, 0.0, 0.5, 2.0])),
    ),
    min_size=1,
    max_size=25,
).filter(lambda rows: any(truth for truth, _ in rows))


@given(queries)
def test_equals_the_definition(rows):
    truth = {f"{i:016x}": classes for i, (classes, _) in enumerate(rows)}
    made = [(q, *p) for q, (_, p) in zip(truth, rows, strict=True) if p]
    found = evaluate.evaluate(*tables(made, truth))["all"]
    assert found.gap == pytest.approx(slow_gap(made, truth), abs=1e-12)


@given(queries, st.randoms())
def test_row_order_and_monotone_scores_change_nothing(rows, random):
    truth = {f"{i:016x}": classes for i, (classes, _) in enumerate(rows)}
    made = [(q, *p) for q, (_, p) in zip(truth, rows, strict=True) if p]
    predictions, solution = tables(made, truth)
    before = evaluate.evaluate(predictions, solution)["all"].gap
    order = list(range(len(predictions)))
    random.shuffle(order)
    shuffled = predictions.iloc[order].assign(score=lambda t: np.exp(t["score"]) * 3)
    assert evaluate.evaluate(shuffled, solution)["all"].gap == before


@needs_shared
def test_full_real_solution_against_the_definition():
    solution = submission.read_solution(
        str(SHARED / "gld2-metadata" / "recognition_solution_v2.1.csv")
    )
    assert len(solution) == 117_577
    rng = np.random.default_rng(0)
    first = solution["landmarks"].str.split().str[0].fillna("7").astype(int)
    guess = np.where(rng.random(len(solution)) < 0.5, first, rng.integers(0, 200_000, len(first)))
    score = np.round(rng.random(len(solution)), 3)  # many ties
    empty = rng.random(len(solution)) < 0.1
    predictions = pd.DataFrame(
        {
            "id": solution["id"],
            "landmark_id": np.where(empty, -1, guess),
            "score": np.where(empty, np.nan, score),
        }
    )
    found = evaluate.evaluate(predictions, solution)
    for name, usage in (("public", "Public"), ("private", "Private")):
        mine = solution["Usage"] == usage
        truth = {
            q: set(map(int, cell.split()))
            for q, cell in zip(solution["id"][mine], solution["landmarks"][mine], strict=True)
        }
        kept = predictions[mine & ~empty]
        made = list(kept.itertuples(index=False, name=None))
        assert found[name].gap == pytest.approx(slow_gap(made, truth), abs=1e-12)


def test_ignored_is_dropped():
    predictions, solution = tables(WORKED_ROWS, WORKED_TRUTH)
    solution.loc[solution["id"] == "d", "Usage"] = "Ignored"
    found = evaluate.evaluate(predictions, solution)["all"]
    assert (found.queries, found.labelled, found.gap) == (4, 2, 1.0)


def test_no_labelled_query_is_an_error():
    with pytest.raises(UserError, match="no query of this subset has a landmark"):
        evaluate.evaluate(*tables([("a", 1, 0.5)], {"a": set()}))


def test_other_ids_are_an_error():
    predictions, solution = tables(WORKED_ROWS, WORKED_TRUTH)
    with pytest.raises(UserError, match="id e has no row in the submission"):
        evaluate.evaluate(predictions[:4], solution)
    with pytest.raises(UserError, match="id e is not in the solution"):
        evaluate.evaluate(predictions, solution[:4])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,landmark\na,1 0.5\n", "row 1: expected the header id,landmarks"),
        ("id,landmarks\na,1 0.5\nb,x 0.5\n", "row 3: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,1 nan\n", "row 2: expected '<landmark_id> <score>'"),
        ("id,landmarks\na,1 1e999\n", "row 2: expected a finite score"),
        ("id,landmarks\na,1 0.5\na,\n", "row 3: expected each id once"),
        ("", "expected a CSV"),
    ],
)
def test_malformed_submissions_name_the_row(tmp_path: pathlib.Path, text: str, expected: str):
    path = tmp_path / "submission.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=expected):
        submission.read(str(path))


def test_submission_is_read_as_it_was_written(tmp_path: pathlib.Path):
    path = tmp_path / "submission.csv"
    path.write_text(submission.write(["b", "a"], {"a": (7, 0.25)}))
    assert path.read_text() == "id,landmarks\nb,\na,7 0.250000\n"
    read = submission.read(str(path))
    assert read["id"].tolist() == ["b", "a"]
    assert read["landmark_id"].tolist() == [-1, 7]
