"""The flags of gld2 validate-submission."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Options, flag


@dataclasses.dataclass(frozen=True)
class ValidateOptions(Options):
    """The flags of gld2 validate-submission; "" where a flag is not given.

    Attributes:
      submission: path of the submission.
      ids: path of the CSV that lists the ids of its rows.
      source: root of a source that has such a CSV.
      labels: path of the labels.csv whose landmarks it may name.
      train: path of the train.csv whose landmarks it may name.
    """

    submission: str = flag(about="the submission (id,landmarks)", metavar="CSV")
    ids: str = flag(
        "", "test.csv or sample_submission.csv, whose ids the submission needs", metavar="CSV"
    )
    source: str = flag(
        "", "in place of --ids: folder or URL that has one of these files", metavar="ROOT"
    )
    labels: str = flag(
        "", "labels.csv: report predictions of landmarks that it does not have", metavar="CSV"
    )
    train: str = flag("", "in place of --labels: train.csv, for the same", metavar="CSV")

    def __post_init__(self) -> None:
        """Raises UserError where ids or landmarks are named twice, or ids not at all."""
        super().__post_init__()
        if bool(self.ids) == bool(self.source):
            raise UserError("expected one of --ids and --source, to know the ids of the submission")
        if self.labels and self.train:
            raise UserError("--labels and --train: expected one of them")
