"""`python -m pipelines.score` is `gld2 score`."""

from pipelines.common.cli import door

door("score", "pipelines.score.command", "pipelines")
