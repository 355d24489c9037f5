"""How long gld2 evaluate and gld2 validate-submission take: whole processes, start-up and all.

    python -m tests.benchmarks.evaluate --rounds 5

The solution is the real one, of 117,577 rows; the submissions are generated. Each command runs in a
process of its own, in turns. CPU time says more than the clock where a machine has other work.
"""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Callable

import numpy as np

from pipelines.kaggle import submission
from tests.benchmarks import costs
from tests.benchmarks.costs import Cost, gld2, in_turns, met, need, speed
from tests.conftest import SHARED

SOLUTION = SHARED / "gld2-metadata" / "recognition_solution_v2.1.csv"
LARGE = 4_000_000  # rows
LANDMARKS = 203_094
GOAL = 3.0  # seconds of gld2 evaluate
NEEDS = (SOLUTION,)
SMALL = 400_000  # of LARGE
EVALUATE = "evaluate"
# What one would write at once: GAP of all rows; whether ids are those of the other file.
PLAIN = """
import sys, numpy, pandas
given, wanted = (pandas.read_csv(path, dtype=str, keep_default_na=False) for path in sys.argv[1:])
guess = given["landmarks"].str.split(expand=True)
assert guess[0].str.isdigit().all() and given["id"].is_unique
rows = given.assign(guess=guess[0], score=guess[1].astype(float)).drop(columns="landmarks")
rows = rows.merge(wanted, on="id").sort_values(["score", "id"], ascending=[False, True])
assert len(rows) == len(wanted) == len(given)
if "landmarks" in wanted:
    pairs = zip(rows["guess"], rows["landmarks"])
    right = numpy.array([guess in truth.split() for guess, truth in pairs])
    precision = right.cumsum() / numpy.arange(1, len(right) + 1)
    print((precision * right).sum() / (rows["landmarks"] != "").sum())
"""


def generate(folder: pathlib.Path, large: int) -> None:
    """Two submissions for the solution, one of so many rows, and its ids."""
    solution = submission.read_solution(str(SOLUTION))
    ids, rng = solution["id"].to_numpy(), np.random.default_rng(0)
    first = solution["landmarks"].str.split().str[0].fillna("7").astype(int).to_numpy()
    for name, skill in (("a", 0.6), ("b", 0.55)):
        guess = np.where(
            rng.random(len(ids)) < skill, first, rng.integers(LANDMARKS, size=len(ids))
        )
        score = rng.random(len(ids)) * np.where(solution["landmarks"] == "", 0.7, 1)
        write(folder / f"{name}.csv", ids, guess, score)
    ids = np.array([f"{number:016x}" for number in rng.integers(1 << 62, size=large)])
    write(folder / "large.csv", ids, rng.integers(LANDMARKS, size=large), rng.random(large))
    (folder / "ids.csv").write_text("id\n" + "\n".join(ids) + "\n")
    (folder / "shuffled.csv").write_text("id\n" + "\n".join(rng.permutation(ids)) + "\n")


def write(path: pathlib.Path, ids: np.ndarray, guess: np.ndarray, score: np.ndarray) -> None:
    cells = zip(ids, guess, score, strict=True)
    path.write_text("id,landmarks\n" + "".join(f"{a},{b} {c:.6f}\n" for a, b, c in cells))


def commands(folder: pathlib.Path, large: int) -> dict[str, Callable[[], Cost]]:
    """By its name what runs it; files are generated."""
    generate(folder, large)
    a, b, output = f"{folder}/a.csv", f"{folder}/b.csv", f"--output={folder}/out.json"
    evaluate = functools.partial(gld2, "evaluate", f"--solution={SOLUTION}", output)
    validate = functools.partial(gld2, "validate-submission")
    of_many = functools.partial(validate, f"--submission={folder}/large.csv")
    return {
        EVALUATE: functools.partial(evaluate, a),
        "evaluate, two submissions, 1,000 resamples": functools.partial(evaluate, a, b),
        "validate-submission": functools.partial(
            validate, f"--submission={a}", f"--ids={SOLUTION}"
        ),
        f"validate-submission, {large:,} rows": functools.partial(
            of_many, f"--ids={folder}/ids.csv"
        ),
        "the same in another order": functools.partial(of_many, f"--ids={folder}/shuffled.csv"),
    }


def ratios() -> dict[str, list[float]]:
    with costs.scratch() as folder:
        works = commands(folder, SMALL)
        plain = [sys.executable, "-c", PLAIN, f"{folder}/a.csv", str(SOLUTION)]
        many = [sys.executable, "-c", PLAIN, f"{folder}/large.csv", f"{folder}/shuffled.csv"]
        works["plain"] = functools.partial(costs.run, plain)
        works["many"] = functools.partial(costs.run, many)
        found = in_turns(works, 3)
    ours = (name for name in found if name not in ("plain", "many"))
    return {
        f"{name}, beside plain pandas": speed(found[name], found[other], "cpu")
        for name, other in zip(ours, ("plain", "plain", "plain", "many", "many"), strict=True)
    }


def main() -> None:
    flags = costs.parser(__doc__)
    flags.add_argument("--rounds", type=int, default=5)
    args = flags.parse_args()
    need(NEEDS)
    with costs.scratch() as folder:
        found = in_turns(commands(folder, LARGE), args.rounds)
    costs.report(found)
    seconds = np.median([cost.seconds for cost in found[EVALUATE]])
    print(f"evaluate under {GOAL:.0f} s: {met(seconds < GOAL)}")


if __name__ == "__main__":
    main()
