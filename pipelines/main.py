"""Defines the gld2 command: a table of commands, each a module with a `main` of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.common import cli

COMMANDS = {  # name -> module, the extra that it needs, help text
    "prepare": ("pipelines.prepare", "pipelines", "download, curate and shard, in order"),
    "download": ("pipelines.download.command", "pipelines", "fetch and normalise photos"),
    "curate": ("pipelines.curate.command", "pipelines", "decide what is kept, and say why"),
    "shard": (
        "pipelines.shard.command",
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
    "embed": ("pipelines.score.rerank.embed", "pipelines", "embed photos, for score --rerank"),
    "validate-submission": (
        "pipelines.kaggle.validate",
        "pipelines",
        "find what Kaggle would refuse",
    ),
    "evaluate": ("pipelines.evaluate.command", "pipelines", "GAP, accuracy, precision, recall"),
    "report": ("pipelines.report.command", "pipelines", "what happened, as a page to look at"),
    "plan": ("pipelines.plan.command", "pipelines", "what all of it takes: hours, bytes, dollars"),
    "demo": ("pipelines.demo", "pipelines", "all of it, on a small generated world"),
    "sample": ("pipelines.sample.command", "pipelines", "write that small generated world"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command named by the first word; returns its exit code.

    Args:
      argv: the words after `gld2`; None for the process's own.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    command, *flags = words
    if command not in COMMANDS:
        print(f"gld2: error: no command {command!r}; gld2 --help lists them", file=sys.stderr)
        return 2
    return run(command, flags)


def run(command: str, flags: Sequence[str]) -> int:
    """Runs a command of the table with its flags; returns its exit code."""
    module, extra, _ = COMMANDS[command]
    return cli.run(f"gld2 {command}", module, extra, flags)


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{about}" for name, (_, _, about) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: gld2 COMMAND [flags]      (gld2 COMMAND --help explains each)",
            "",
            "From Google Landmarks v2's archives to a trained recogniser and a scored submission.",
            "",
            *lines,
            "",
            "start with: gld2 demo --output demo",
        ]
    )


def console() -> None:
    """Runs `main` and ends the process with its exit code."""
    cli.leave_with(main)


if __name__ == "__main__":
    console()
