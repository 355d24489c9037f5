"""`python -m pipelines.plan` is `gld2 plan`."""

from pipelines.common.cli import door

door("plan", "pipelines.plan.command", "pipelines")
