"""The flags of gld2 evaluate."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options import SeedOptions, flag

DEFAULTS = ("metrics.json", "comparison.json")  # what is written: of one submission, of several


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(SeedOptions):
    """What is scored, against what, and where the figures go."""

    submissions: tuple[str, ...] = flag(
        (),
        "submissions; two or more are compared",
        metavar="CSV",
        positional=True,
        repeats=True,
    )
    submission: str | None = flag(None, "the one submission: id,landmarks", metavar="CSV")
    solution: str = flag(about="id,landmarks,Usage", metavar="CSV")
    output: str = flag(
        "",
        "JSON; pr_curve.png and mistakes.jpg are written beside it "
        f"(default: {DEFAULTS[0]}, or {DEFAULTS[1]} where several are compared)",
    )
    images: str | None = flag(
        None,
        "test photos, for a contact sheet of the worst mistakes: OUT of gld2 prepare, a dataset, "
        "or a folder in Kaggle's layout",
        metavar="PLACE",
    )
    resamples: int = flag(1000, "of the bootstrap", least=1)

    def __post_init__(self) -> None:
        """Raises UserError for no submission, the same twice, or several with --images."""
        super().__post_init__()
        found = self.paths
        if not found or len(set(found)) < len(found):
            raise UserError("expected --submission, or several different submissions")
        if self.images and len(found) > 1:
            raise UserError("--images: expected one submission, whose mistakes to show")

    @property
    def paths(self) -> tuple[str, ...]:
        """The submissions, however they were given."""
        return (*self.submissions, *([self.submission] if self.submission else []))

    @property
    def output_path(self) -> str:
        """Where the figures go."""
        return self.output or DEFAULTS[len(self.paths) > 1]
