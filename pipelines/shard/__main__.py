"""`python -m pipelines.shard` is `gld2 shard`."""

from pipelines.common.cli import door

door("shard", "pipelines.shard.command", "pipelines")
