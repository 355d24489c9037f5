"""The flags of gld2 report."""

from __future__ import annotations

import dataclasses

from pipelines.common.options.flags import Options, OutputOptions, flag, group


@dataclasses.dataclass(frozen=True)
class ReportOptions(Options):
    """The flags of gld2 report.

    Attributes:
      output: the folder of the run that is reported on.
      job_dir: of a training whose curves are shown; None for none.
      metrics: path of metrics.json that is shown; None for none.
    """

    output: OutputOptions = group()
    job_dir: str | None = flag(None, "--job_dir of gld2 train, to show its training curves")
    metrics: str | None = flag(
        None, "path of metrics.json, made by gld2 evaluate, to show the scores"
    )
