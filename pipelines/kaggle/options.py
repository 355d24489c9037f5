"""The flags of gld2 validate-submission."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options import Options, flag


@dataclasses.dataclass(frozen=True)
class ValidateOptions(Options):
    """Which submission is looked at, and which ids and landmarks it may name; "" is not given."""

    submission: str = flag(about="CSV: id,landmarks")
    ids: str = flag(
        "", "test.csv or sample_submission.csv, whose ids it has to have", metavar="CSV"
    )
    source: str = flag("", "or the place where one of these is", metavar="ROOT")
    labels: str = flag("", "labels.csv, whose landmarks alone it may name", metavar="CSV")
    train: str = flag("", "or train.csv, whose landmarks alone it may name", metavar="CSV")

    def __post_init__(self) -> None:
        """Raises UserError where ids or landmarks are named twice, or ids not at all."""
        super().__post_init__()
        if bool(self.ids) == bool(self.source):
            raise UserError("expected one of --ids and --source: which ids has it to have?")
        if self.labels and self.train:
            raise UserError("--labels and --train: expected one of them")
