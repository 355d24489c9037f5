"""`python -m trainer.submit` is `gld2 submit`."""

from pipelines.common.cli import door

door("submit", "trainer.submit.command", "submit")
