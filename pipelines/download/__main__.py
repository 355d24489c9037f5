"""`python -m pipelines.download` is `gld2 download`."""

from pipelines.common.cli import door

door("download", "pipelines.download.command", "pipelines")
