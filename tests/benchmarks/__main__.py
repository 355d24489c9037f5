"""All benchmarks at a small size, and whether a ratio has fallen by more than a quarter.

    python -m tests.benchmarks
    python -m tests.benchmarks --only dedupe score --output FOLDER
    python -m tests.benchmarks --update

One after the other, each in a process of its own: its `ratios()`, whose values are of several
rounds where they differ from one to the next. Their medians are compared with floor.json, which
--update writes (run twice, and keep the lower). Times and memory are not compared, as they are the
machine's. Speeds are of CPU time, which other work on the machine changes less than the clock.
FOLDER gets bench.json, bench.md and what each benchmark printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.benchmarks import floor
from tests.benchmarks.costs import absent
from tests.benchmarks.floor import Outcome
from tests.conftest import ROOT

NAMES = (
    *("curate_scale", "dedupe", "download", "evaluate", "heads"),
    *("neighbours", "rerank", "score", "shard", "trainer"),
)
FLOOR = pathlib.Path(__file__).with_name("floor.json")


def here(name: str) -> Outcome:
    """Runs a benchmark in this process."""
    module = importlib.import_module(f"tests.benchmarks.{name}")
    if sentence := absent(module.NEEDS):
        return Outcome(skipped=sentence)
    return Outcome({ratio: [float(v) for v in values] for ratio, values in module.ratios().items()})


def in_a_process(name: str, log: pathlib.Path) -> Outcome:
    """Runs a benchmark in a new process; what it printed goes to a file."""
    started = time.perf_counter()
    words = [sys.executable, "-m", "tests.benchmarks", "--here", name]
    with log.open("w") as file:
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=file, text=True)
        file.write(done.stdout)
    seconds = round(time.perf_counter() - started, 1)
    if done.returncode:
        return Outcome(seconds=seconds, failed=log.read_text()[-3000:])
    return dataclasses.replace(Outcome(**json.loads(done.stdout.splitlines()[-1])), seconds=seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "bench")
    parser.add_argument("--update", action="store_true", help="write floor.json")
    parser.add_argument("--here", choices=NAMES, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.here:
        print(json.dumps(dataclasses.asdict(here(args.here))))
        return 0
    args.output.mkdir(parents=True, exist_ok=True)
    outcomes = {}
    for name in args.only:
        outcomes[name] = in_a_process(name, args.output / f"{name}.log")
        print(f"{name}: {outcomes[name].seconds:.0f} s", flush=True)
    return judge(outcomes, args.output, args.update)


def judge(outcomes: dict[str, Outcome], output: pathlib.Path, update: bool) -> int:
    """Writes and prints what was found; returns 1 where something is wrong."""
    committed = json.loads(FLOOR.read_text()) if FLOOR.exists() else {}
    if update:
        committed = floor.updated(outcomes, committed)
        FLOOR.write_text(json.dumps(committed, indent=2) + "\n")
    found = {name: dataclasses.asdict(outcome) for name, outcome in outcomes.items()}
    (output / "bench.json").write_text(json.dumps(found, indent=2) + "\n")
    table = floor.table(outcomes, committed)
    (output / "bench.md").write_text(table + "\n")
    print(table)
    wrong = list(floor.complaints(outcomes, committed))
    print("\n".join(wrong or [f"no ratio is below {floor.LEAST} of the committed one"]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
