"""python -m tests.storm: runs some storms, or one again."""

from __future__ import annotations

import argparse
import concurrent.futures
import pathlib
import shutil
import tempfile
import time

from tests.storm import run
from tests.storm.plan import Storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--seed", type=int, help="run the storm of this seed alone")
    parser.add_argument("--seeds", type=int, default=12, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--calms", type=pathlib.Path, help="folder in which calm runs are kept")
    flags = parser.parse_args()
    first, number = (flags.first, flags.seeds) if flags.seed is None else (flags.seed, 1)
    seeds = range(first, first + number)
    with tempfile.TemporaryDirectory(prefix="storm-") as temporary:
        folder = pathlib.Path(temporary)
        calms = flags.calms or folder / "calms"
        for seed in seeds:
            run.find_calm(Storm.of(seed), calms)  # one by one, as storms share them
        with concurrent.futures.ThreadPoolExecutor(flags.jobs) as pool:
            found = pool.map(lambda seed: _run(seed, calms, folder / str(seed)), seeds)
            broken = [seed for seed, is_calm in zip(seeds, found, strict=True) if not is_calm]
    print(f"{number} storms, {len(broken)} broken: {broken}")
    return 1 if broken else 0


def _run(seed: int, calms: pathlib.Path, folder: pathlib.Path) -> bool:
    begin = time.monotonic()
    try:
        found = run.run(seed, calms, folder)
        lines, is_calm = found.lines, not found.wrong
        if found.wrong:
            lines = [*lines, f"BROKEN: other files {found.wrong}"]
    except run.Broken as error:
        lines, is_calm = [f"BROKEN {error}"], False
    shutil.rmtree(folder, ignore_errors=True)
    print(f"seed {seed}: {time.monotonic() - begin:.0f} s", *lines, sep="\n  ", flush=True)
    return is_calm


if __name__ == "__main__":
    raise SystemExit(main())
