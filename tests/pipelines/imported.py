"""What each command has imported when it has printed its help.

    python -m tests.pipelines.imported MODULE...

Prints an object that has, for each command, those of the MODULEs that --help imported.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import sys

# Python may start with google.cloud, empty, where a .pth file of a package declares it.
AT_FIRST = frozenset(sys.modules)

from pipelines import main  # noqa: E402


def by_help(command: str, modules: list[str]) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main.main([command, "--help"])
    assert f"gld2 {command}" in out.getvalue()
    since = [f"{name}." for name in sys.modules.keys() - AT_FIRST]
    return [name for name in modules if any(each.startswith(f"{name}.") for each in since)]


if __name__ == "__main__":
    # A process for each, as what one has imported would count for the next; forked, to be quick.
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        questions = [(command, sys.argv[1:]) for command in main.COMMANDS]
        found = pool.starmap(by_help, questions, chunksize=1)
    print(json.dumps(dict(zip(main.COMMANDS, found, strict=True))))
