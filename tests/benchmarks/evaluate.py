"""How long gld2 evaluate and gld2 validate-submission take: whole processes, start-up and all.

    python -m tests.benchmarks.evaluate --rounds 5

The solution is the real one, of 117,577 rows; the submissions are generated. Each command runs in a
process of its own, in turns. CPU time says more than the clock where a machine has other work.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import resource
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

from pipelines.kaggle import submission
from tests.benchmarks.download import run
from tests.benchmarks.shard import Cost, spread
from tests.conftest import SHARED

SOLUTION = SHARED / "gld2-metadata" / "recognition_solution_v2.1.csv"
LARGE = 4_000_000  # rows
LANDMARKS = 203_094
GOAL = 3.0  # seconds of gld2 evaluate


def generate(folder: pathlib.Path) -> None:
    """Two submissions for the solution, one of LARGE rows, and its ids."""
    solution = submission.read_solution(str(SOLUTION))
    ids, rng = solution["id"].to_numpy(), np.random.default_rng(0)
    first = solution["landmarks"].str.split().str[0].fillna("7").astype(int).to_numpy()
    for name, skill in (("a", 0.6), ("b", 0.55)):
        guess = np.where(
            rng.random(len(ids)) < skill, first, rng.integers(LANDMARKS, size=len(ids))
        )
        score = rng.random(len(ids)) * np.where(solution["landmarks"] == "", 0.7, 1)
        write(folder / f"{name}.csv", ids, guess, score)
    ids = np.array([f"{number:016x}" for number in rng.integers(1 << 62, size=LARGE)])
    write(folder / "large.csv", ids, rng.integers(LANDMARKS, size=LARGE), rng.random(LARGE))
    (folder / "ids.csv").write_text("id\n" + "\n".join(ids) + "\n")
    (folder / "shuffled.csv").write_text("id\n" + "\n".join(rng.permutation(ids)) + "\n")


def write(path: pathlib.Path, ids: np.ndarray, guess: np.ndarray, score: np.ndarray) -> None:
    cells = zip(ids, guess, score, strict=True)
    path.write_text("id,landmarks\n" + "".join(f"{a},{b} {c:.6f}\n" for a, b, c in cells))


def commands(folder: pathlib.Path) -> dict[str, list[str]]:
    a, b, output = f"{folder}/a.csv", f"{folder}/b.csv", f"--output={folder}/out.json"
    evaluate = ["evaluate", f"--solution={SOLUTION}", output]
    validate = ["validate-submission", f"--submission={folder}/large.csv"]
    return {
        "evaluate": [*evaluate, a],
        "evaluate, two submissions, 1,000 resamples": [*evaluate, a, b],
        "validate-submission": [*validate[:1], f"--submission={a}", f"--ids={SOLUTION}"],
        f"validate-submission, {LARGE:,} rows": [*validate, f"--ids={folder}/ids.csv"],
        "the same in another order": [*validate, f"--ids={folder}/shuffled.csv"],
    }


def measure(flags: list[str]) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = run([sys.executable, "-m", "pipelines.main", *flags])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(**dataclasses.asdict(found), cpu=cpu)


def table(costs: dict[str, list[Cost]]) -> Iterator[str]:
    yield "| | s | s of CPU | peak MB |\n| --- | --- | --- | --- |"
    for name, found in costs.items():
        clock, cpu = (
            spread(np.array([getattr(cost, by) for cost in found]), ".1f")
            for by in ("seconds", "cpu")
        )
        yield f"| {name} | {clock} | {cpu} | {max(cost.largest for cost in found):,.0f} |"
    met = np.median([cost.seconds for cost in costs["evaluate"]]) < GOAL
    yield f"\nevaluate under {GOAL:.0f} s: {'met' if met else 'not met'}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if not SOLUTION.is_file():
        sys.exit("needs the real solution of ../shared, which is not there")
    with tempfile.TemporaryDirectory(prefix="gld2-benchmark-") as name:
        generate(pathlib.Path(name))
        words = commands(pathlib.Path(name))
        costs: dict[str, list[Cost]] = {command: [] for command in words}
        for _ in range(args.rounds):
            for command, flags in words.items():
                costs[command].append(measure(flags))
    print("\n".join(table(costs)))


if __name__ == "__main__":
    main()
