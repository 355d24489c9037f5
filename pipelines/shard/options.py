"""The flags of gld2 shard: the shape of the dataset."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Options, OutputOptions, SeedOptions, flag, group
from pipelines.source.options import IncompleteOptions, OptionalSourceOptions, SplitsOptions


def parse_version(text: str) -> str:
    """Returns a version of three numbers.

    Raises:
      ValueError: the text has another form.
    """
    numbers = text.split(".")
    if len(numbers) != 3 or not all(n.isdecimal() and n.isascii() for n in numbers):
        raise ValueError(f"expected three numbers as 1.0.0, found {text!r}")
    return text


@dataclasses.dataclass(frozen=True)
class ShardOptions(SeedOptions):
    """The shape of the dataset.

    Attributes:
      seed: of the order.
      shard_size_mb: about how large a shard is.
      num_shards: of each split, whatever their size; None goes by size.
      with_attribution: whether records say whom to thank.
      version: such as 1.0.0.
    """

    shard_size_mb: int = flag(200, "about how large a shard is", least=1)
    num_shards: int | None = flag(
        None,
        "shards of each split, whatever their size (default: by --shard_size_mb)",
        least=1,
    )
    with_attribution: bool = flag(
        False,
        "put url, author, license and title of each train photo into its record, as a CC-BY "
        "licence asks of those who pass photos on; needs --source with "
        "metadata/train_attribution.csv",
    )
    version: str = flag(
        "1.0.0",
        "the dataset's version folder; other flags want another version",
        parse=parse_version,
    )


@dataclasses.dataclass(frozen=True)
class ShardCommandOptions(Options):
    """The flags of gld2 shard; the three stages that prepare take the same source and output."""

    source: OptionalSourceOptions = group("source")
    splits: SplitsOptions = group()
    output: OutputOptions = group()
    shard: ShardOptions = group("shard")
    incomplete: IncompleteOptions = group()

    def __post_init__(self) -> None:
        """Raises UserError where attributions are asked for and no source is named."""
        super().__post_init__()
        if self.shard.with_attribution and not self.source.source:
            raise UserError("--with_attribution: needs --source, for its attribution CSV")
