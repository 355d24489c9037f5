"""The gld2 command: a thin dispatch to the modules' own mains."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from pipelines.common.errors import EngineError, OnlyBuilt, UserError

COMMANDS = {  # name -> module, the extra that it needs, what it does
    "prepare": ("pipelines.prepare", "pipelines", "download, curate and shard, in order"),
    "download": ("pipelines.download.pipeline", "pipelines", "fetch and normalise photos"),
    "curate": ("pipelines.curate.pipeline", "pipelines", "decide what is kept, and say why"),
    "shard": (
        "pipelines.shard.pipeline",
        "pipelines",
        "gather the kept photos into TFRecord shards",
    ),
    "inspect": (
        "pipelines.inspection.command",
        "pipelines",
        "look at a dataset, or verify all of it",
    ),
    "train": ("trainer.task", "trainer", "train a landmark recogniser on the shards"),
    "compare": (
        "trainer.compare.command",
        "trainer",
        "train several networks, and make a table of them",
    ),
    "submit": (
        "trainer.submit.command",
        "submit",
        "send gld2 train to a Cloud TPU or to Vertex AI",
    ),
    "describe": ("trainer.describe", "trainer", "a network's parameters and multiply-adds"),
    "score": ("pipelines.score.command", "pipelines", "score photos into a Kaggle submission"),
    "embed": (
        "pipelines.score.rerank.embed",
        "pipelines",
        "photos' embeddings, for score --rerank",
    ),
    "validate-submission": (
        "pipelines.kaggle.validate",
        "pipelines",
        "find what Kaggle would refuse",
    ),
    "evaluate": ("pipelines.evaluate.command", "pipelines", "GAP, accuracy, precision, recall"),
    "report": ("pipelines.report.command", "pipelines", "what happened, as a page to look at"),
    "plan": ("pipelines.plan.command", "pipelines", "what all of it takes: hours, bytes, dollars"),
    "demo": ("pipelines.demo", "pipelines", "all of it, on a small generated world"),
    "sample": ("pipelines.sample.writer", "pipelines", "write that small generated world"),
}


def main(argv: Sequence[str] | None = None) -> int:
    args = sys.argv[1:] if argv is None else list(argv)
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else 2
    command, *flags = args
    if command not in COMMANDS:
        print(f"gld2: error: no command {command!r}; gld2 --help lists them", file=sys.stderr)
        return 2
    return run(command, flags)


def run(command: str, flags: Sequence[str]) -> int:
    """Runs a command; prints a user's mistake, or an engine's failure, as one line."""
    try:
        return _entry(command)(flags)
    except UserError as error:
        print(f"gld2 {command}: error: {error}", file=sys.stderr)
        return 2
    except EngineError as error:
        again = "the same command goes on from here"
        print(f"gld2 {command}: error: {error}; {again}", file=sys.stderr)
        return 1
    except OnlyBuilt as built:
        print(f"gld2 {command}: {built}")
        return 0
    except KeyboardInterrupt:
        print(f"\ngld2 {command}: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _entry(command: str) -> Callable[[Sequence[str]], int]:
    module, extra, _ = COMMANDS[command]
    try:
        return importlib.import_module(module).main
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("pipelines", "trainer"):
            raise
        raise UserError(f"{error.name} is not installed; pip install 'gld2[{extra}]'") from None


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{about}" for name, (_, _, about) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: gld2 COMMAND [flags]      (gld2 COMMAND --help teaches each)",
            "",
            "From Google Landmarks v2's archives to a trained recogniser and a scored submission.",
            "",
            *lines,
            "",
            "start with: gld2 demo --output demo",
        ]
    )


def console() -> None:
    """The process that a shell starts: `main`, and an end that no library can spoil.

    One whose work was done, on a job server, was once seen to abort as it ended: "terminate called
    without an active exception", from a thread of C++'s.
    """
    code = 1  # where main raises what nobody expected

    def leave() -> None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)

    atexit.register(leave)  # before any library's, so it runs after theirs
    try:
        code = main()
    except SystemExit as end:  # argparse's, after --help
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
        raise


if __name__ == "__main__":
    console()
