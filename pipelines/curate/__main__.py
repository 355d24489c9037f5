"""`python -m pipelines.curate` is `gld2 curate`."""

from pipelines.common.cli import door

door("curate", "pipelines.curate.command", "pipelines")
