"""python -m tests.fuzz: fuzzes photos or tars, or decodes the corpus again and again."""

from __future__ import annotations

import argparse
import pathlib

from tests.fuzz import memory, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=["images", "tars", "memory"])
    parser.add_argument("--seconds", type=int, default=600, help="of fuzzing")
    parser.add_argument("--folder", type=pathlib.Path, default="build/fuzz", help="is kept")
    parser.add_argument("--decodes", type=int, default=100_000, help="of memory")
    parser.add_argument("--replay", type=pathlib.Path, nargs="+", help="files to try again")
    flags = parser.parse_args()
    if flags.what == "memory":
        return memory.measure(flags.decodes, flags.folder)
    if flags.replay:
        return show(run.replay(flags.what, flags.replay))
    grown = run.fuzz(flags.what, flags.seconds, flags.folder)
    names = ("edges", "features", "corpus")
    growth = zip(names, grown.first, grown.last, strict=True)
    steps = ", ".join(f"{name} {first} -> {last}" for name, first, last in growth)
    print(f"{flags.what}: {grown.executions} executions, {steps}, {len(grown.finds)} finds")
    print(*grown.finds, sep="\n", end="\n" if grown.finds else "")
    replayed = show(
        run.replay(flags.what, sorted((flags.folder / flags.what / "corpus").iterdir()))
    )
    return 1 if grown.finds or replayed else 0


def show(outcomes) -> int:
    """Prints what became of files; returns 1 where a promise is broken."""
    print(*(f"{count:6} {what}" for what, count in outcomes.most_common()), sep="\n")
    return int(any(": " in what for what in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
