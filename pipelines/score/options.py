"""The flags of gld2 score and gld2 embed."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options import Options, OutputOptions, flag, group
from pipelines.download.options import FetchOptions
from pipelines.source.options import OptionalSourceOptions

# Of the classifier. Those who won went by visual similarity alone, which is 0; on photos held out
# of train, all weights up to 2 do about as well (tests/benchmarks/rerank.py).
CLASSIFIER_WEIGHT = 1.0


@dataclasses.dataclass(frozen=True)
class PhotosOptions(Options):
    """Which photos are put through a model."""

    split: str = flag("test", "which split")
    images: str | None = flag(
        None,
        "photos that are staged or sharded already: OUT, OUT/dataset, a version folder or a "
        "pattern of TFRecord files",
        metavar="PLACE",
    )


@dataclasses.dataclass(frozen=True)
class ModelOptions(Options):
    """What scores, and how."""

    model: str = flag(
        about="JOB/export of gld2 train, or its saved_model folder with labels.csv beside it"
    )
    batch_size: int = flag(
        64,
        "photos handed over at once, in chunks of a fixed size, of which the network sees one "
        "after the other while the next is decoded; no score depends on it",
        least=1,
    )


def parse_table(text: str) -> str:
    """Returns the name of a CSV or Parquet file.

    Raises:
      ValueError: it ends otherwise.
    """
    if not text.endswith((".csv", ".parquet")):
        raise ValueError(f"expected .csv or .parquet, found {text}")
    return text


@dataclasses.dataclass(frozen=True)
class SubmissionOptions(Options):
    """What is written."""

    output: str = flag(about="the submission, a CSV")
    ids: str | None = flag(
        None,
        "whose ids are the submission's rows, in their order (default: the source's test.csv or "
        "sample_submission.csv; without a source, the photos' own ids, sorted)",
        metavar="CSV",
    )
    top_k: int = flag(5, "classes that are kept of each photo", least=1)
    top_k_output: str | None = flag(
        None,
        "where to write them, a row for each: .csv or .parquet",
        metavar="FILE",
        parse=parse_table,
    )


@dataclasses.dataclass(frozen=True)
class RerankOptions(Options):
    """Whether and how scores are re-ranked."""

    rerank: str = flag(
        "none",
        "retrieval: landmarks of the nearest train photos vote, and photos that look like those of "
        "no landmark are trusted less",
        choices=["none", "retrieval"],
    )
    train: str | None = flag(
        None,
        "the train photos: OUT/dataset, or what gld2 embed made of them with this model",
        metavar="PLACE",
    )
    non_landmarks: str | None = flag(
        None,
        "photos of no landmark: a folder, staged or sharded photos, or what gld2 embed made of "
        "them (default: the half of the scored photos of which the classifier is least sure)",
        metavar="PLACE",
    )
    classifier_weight: float = flag(
        CLASSIFIER_WEIGHT,
        "of a class's probability beside the neighbours' votes; 0: these alone",
        least=0,
    )
    max_predictions_per_landmark: int | None = flag(
        None,
        "put landmarks that are predicted for more than N photos below all others",
        least=1,
        old_names=["demote_over"],
    )

    def __post_init__(self) -> None:
        """Raises UserError for flags of re-ranking without it, or it without photos."""
        super().__post_init__()
        if self.rerank == "none" and (self.train or self.non_landmarks):
            raise UserError("--train and --non_landmarks: expected --rerank retrieval with them")
        if self.rerank == "none" and self.classifier_weight != CLASSIFIER_WEIGHT:
            raise UserError("--classifier_weight: expected --rerank retrieval with it")
        if self.rerank != "none" and not self.train:
            raise UserError("--rerank retrieval: expected --train, the photos to look among")


@dataclasses.dataclass(frozen=True)
class InferenceOptions(Options):
    """The flags that gld2 score and gld2 embed share."""

    source: OptionalSourceOptions = group("source")
    photos: PhotosOptions = group()
    model: ModelOptions = group("model")
    fetch: FetchOptions = group("fetch")

    def __post_init__(self) -> None:
        """Raises UserError where photos are named twice or not at all."""
        super().__post_init__()
        if not self.source.source and not self.photos.images:
            raise UserError("expected --source or --images: where are the photos?")
        if self.photos.images and (self.source.archives or self.source.limit):
            raise UserError("--archives and --limit are for --source's photos, not for --images")


@dataclasses.dataclass(frozen=True)
class ScoreOptions(InferenceOptions):
    """The flags of gld2 score."""

    submission: SubmissionOptions = group()
    reranking: RerankOptions = group("re-ranking")


@dataclasses.dataclass(frozen=True)
class EmbedOptions(InferenceOptions):
    """The flags of gld2 embed."""

    output: OutputOptions = group()
