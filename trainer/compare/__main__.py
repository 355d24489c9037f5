"""`python -m trainer.compare` is `gld2 compare`."""

from pipelines.common.cli import door

door("compare", "trainer.compare.command", "trainer")
