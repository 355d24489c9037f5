"""`python -m pipelines.sample` is `gld2 sample`."""

from pipelines.common.cli import door

door("sample", "pipelines.sample.command", "pipelines")
