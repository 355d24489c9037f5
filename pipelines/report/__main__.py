"""`python -m pipelines.report` is `gld2 report`."""

from pipelines.common.cli import door

door("report", "pipelines.report.command", "pipelines")
