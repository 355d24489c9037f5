"""The flags of gld2 evaluate."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options.flags import SeedOptions, flag

DEFAULTS = ("metrics.json", "comparison.json")  # output for one submission, and for several


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(SeedOptions):
    """The flags of gld2 evaluate.

    Attributes:
      submissions: paths of CSVs, given without a flag.
      submission: path of one CSV, given with the flag; None for none.
      solution: path of the solution CSV.
      output: JSON file of the metrics; "" for the default.
      images: where the test photos are; None for no contact sheet.
      resamples: of the bootstrap.
    """

    submissions: tuple[str, ...] = flag(
        (),
        "submissions (id,landmarks); two or more are compared",
        metavar="CSV",
        positional=True,
        repeats=True,
    )
    submission: str | None = flag(
        None, "a submission (id,landmarks), in place of the argument", metavar="CSV"
    )
    solution: str = flag(about="the solution (id,landmarks,Usage)", metavar="CSV")
    output: str = flag(
        "",
        "JSON file for the metrics; pr_curve.png and mistakes.jpg are written to the same folder, "
        "as NAME.pr_curve.png where it is another NAME.json "
        f"(default: {DEFAULTS[0]}, or {DEFAULTS[1]} for several submissions)",
    )
    images: str | None = flag(
        None,
        "where the test photos are, for a contact sheet of the worst errors: OUT of gld2 "
        "prepare, a dataset, or a folder in Kaggle's layout",
        metavar="PLACE",
    )
    resamples: int = flag(1000, "number of resamples of the bootstrap", least=1)

    def __post_init__(self) -> None:
        """Raises UserError for no submission, the same twice, or several with --images."""
        super().__post_init__()
        found = self.paths
        if not found or len(set(found)) < len(found):
            raise UserError("expected --submission, or several different submissions")
        if self.images and len(found) > 1:
            raise UserError("--images: expected one submission, as its errors are shown")

    @property
    def paths(self) -> tuple[str, ...]:
        """Returns the paths of all submissions, given with or without the flag."""
        return (*self.submissions, *([self.submission] if self.submission else []))

    @property
    def output_path(self) -> str:
        """Returns the path of the JSON file for the metrics."""
        return self.output or DEFAULTS[len(self.paths) > 1]
