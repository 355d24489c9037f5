"""`python -m pipelines.evaluate` is `gld2 evaluate`."""

from pipelines.common.cli import door

door("evaluate", "pipelines.evaluate.command", "pipelines")
