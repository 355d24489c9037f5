"""The flags of gld2 curate: the parameters of its decisions."""

from __future__ import annotations

import dataclasses

from pipelines.common.options.curation import CurateOptions
from pipelines.common.options.flags import Options, OutputOptions, group
from pipelines.source.options import IncompleteOptions, SourceOptions, SplitsOptions


@dataclasses.dataclass(frozen=True)
class CurateCommandOptions(Options):
    """The flags of gld2 curate.

    Attributes:
      source: where the metadata is.
      splits: that are curated.
      output: folder of the run.
      curate: the parameters of decisions.
      incomplete: whether units may be missing.
    """

    source: SourceOptions = group("source")
    splits: SplitsOptions = group()
    output: OutputOptions = group()
    curate: CurateOptions = group("curate")
    incomplete: IncompleteOptions = group()
