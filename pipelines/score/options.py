"""The flags of gld2 score and gld2 embed."""

from __future__ import annotations

import dataclasses

from pipelines.common.errors import UserError
from pipelines.common.options.flags import Options, OutputOptions, flag, group
from pipelines.download.options import FetchOptions
from pipelines.source.options import OptionalSourceOptions

# The winners of the competition used visual similarity alone, a weight of 0; on photos held out of
# train, all weights up to 2 give about the same GAP (tests/benchmarks/rerank.py).
CLASSIFIER_WEIGHT = 1.0


@dataclasses.dataclass(frozen=True)
class PhotosOptions(Options):
    """The flags that choose the photos to score.

    Attributes:
      split: name of the split.
      images: where prepared photos are; None to read the source.
    """

    split: str = flag("test", "split whose photos are read")
    images: str | None = flag(
        None,
        "where staged or sharded photos are: OUT, OUT/dataset, a version folder or a pattern of "
        "TFRecord files",
        metavar="PLACE",
    )


@dataclasses.dataclass(frozen=True)
class ModelOptions(Options):
    """The flags of the model.

    Attributes:
      model: folder of the export.
      batch_size: photos handed to the model at once.
    """

    model: str = flag(
        about="JOB/export of gld2 train, or a saved_model folder with labels.csv in the same folder"
    )
    batch_size: int = flag(
        64,
        "photos handed to the model at once; it scores them in chunks of a fixed size while the "
        "next chunk is decoded, so that scores do not depend on this number",
        least=1,
    )


def parse_table(text: str) -> str:
    """Checks that a path ends in .csv or .parquet, and returns it unchanged.

    Raises:
      ValueError: it has another ending.
    """
    if not text.endswith((".csv", ".parquet")):
        raise ValueError(f"expected .csv or .parquet, found {text}")
    return text


@dataclasses.dataclass(frozen=True)
class SubmissionOptions(Options):
    """The flags of the output.

    Attributes:
      output: path of the submission.
      ids: path of the CSV that lists the ids of its rows; None for the default.
      top_k: number of classes that are kept of each photo.
      top_k_output: path of a table of these classes; None for none.
    """

    output: str = flag(about="path of the submission, a CSV")
    ids: str | None = flag(
        None,
        "CSV that lists the ids of the submission's rows, in order (default: the source's test.csv "
        "or sample_submission.csv; without a source, the ids of the photos, sorted)",
        metavar="CSV",
    )
    top_k: int = flag(5, "number of classes that are kept of each photo", least=1)
    top_k_output: str | None = flag(
        None,
        "file for these classes, one row for each: .csv or .parquet",
        metavar="FILE",
        parse=parse_table,
    )


@dataclasses.dataclass(frozen=True)
class RerankOptions(Options):
    """The flags of re-ranking.

    Attributes:
      rerank: the method, or "none".
      train: where the train photos or their embeddings are; None where not needed.
      non_landmarks: where photos of no landmark or their embeddings are; None for the default.
      classifier_weight: of a class's probability beside the neighbours' votes.
      max_predictions_per_landmark: photos that a landmark may be predicted for; None for any.
    """

    rerank: str = flag(
        "none",
        "retrieval: the nearest train photos vote for their landmarks, and the scores of photos "
        "that are similar to photos of no landmark are lowered",
        choices=["none", "retrieval"],
    )
    train: str | None = flag(
        None,
        "the train photos: OUT/dataset, or the output of gld2 embed for them with this model",
        metavar="PLACE",
    )
    non_landmarks: str | None = flag(
        None,
        "photos of no landmark: a folder, staged or sharded photos, or the output of gld2 embed "
        "for them (default: the half of the scored photos of which the classifier is least sure)",
        metavar="PLACE",
    )
    classifier_weight: float = flag(
        CLASSIFIER_WEIGHT,
        "weight of a class's probability beside the neighbours' votes; 0 for the votes alone",
        least=0,
    )
    max_predictions_per_landmark: int | None = flag(
        None,
        "rank predictions of landmarks that are predicted for more than N photos below all others",
        least=1,
        old_names=["demote_over"],
    )

    def __post_init__(self) -> None:
        """Raises UserError for flags of re-ranking without it, or it without photos."""
        super().__post_init__()
        if self.rerank == "none" and (self.train or self.non_landmarks):
            raise UserError(
                "--train and --non_landmarks: expected --rerank retrieval, which uses them"
            )
        if self.rerank == "none" and self.classifier_weight != CLASSIFIER_WEIGHT:
            raise UserError("--classifier_weight: expected --rerank retrieval, which uses it")
        if self.rerank != "none" and not self.train:
            raise UserError("--rerank retrieval: expected --train, the photos to search")


@dataclasses.dataclass(frozen=True)
class InferenceOptions(Options):
    """The flags that gld2 score and gld2 embed share.

    Attributes:
      source: root of a source of photos, and what is read of it.
      photos: the split, or prepared photos.
      model: the export and its batch size.
      fetch: how photos are fetched.
    """

    source: OptionalSourceOptions = group("source")
    photos: PhotosOptions = group()
    model: ModelOptions = group("model")
    fetch: FetchOptions = group("fetch")

    def __post_init__(self) -> None:
        """Raises UserError where photos are named twice or not at all."""
        super().__post_init__()
        if not self.source.source and not self.photos.images:
            raise UserError("expected --source or --images, which name the photos to read")
        if self.photos.images and (self.source.archives or self.source.limit):
            raise UserError("--archives and --limit are for --source only, not for --images")


@dataclasses.dataclass(frozen=True)
class ScoreOptions(InferenceOptions):
    """The flags of gld2 score: those of inference, and two more groups.

    Attributes:
      submission: the output.
      reranking: the method and its parameters.
    """

    submission: SubmissionOptions = group()
    reranking: RerankOptions = group("re-ranking")


@dataclasses.dataclass(frozen=True)
class EmbedOptions(InferenceOptions):
    """The flags of gld2 embed: those of inference, and the output.

    Attributes:
      output: folder of the embeddings.
    """

    output: OutputOptions = group()
