"""`python -m pipelines.inspection` is `gld2 inspect`."""

from pipelines.common.cli import door

door("inspect", "pipelines.inspection.command", "pipelines")
