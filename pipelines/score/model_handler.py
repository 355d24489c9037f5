"""The model handler by which Beam's RunInference uses an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from pipelines.imaging.normalize import Unreadable
from pipelines.score import model
from pipelines.score.model import ModelPath, Network, Prediction

Chunk = Sequence[bytes]  # at most model.CHUNK photos
ChunkPredictions = list[Prediction | Unreadable]  # for each photo of a chunk


class LandmarkHandler(ModelHandler[Chunk, ChunkPredictions, Network]):
    """A handler that loads the model once in each process, for all its threads.

    Beam could share one copy among the processes of a machine. That copy is found by a name in the
    temporary folder of the machine and is called by pickles over a socket, so this is not used: one
    process with many threads, which is the default, has one copy on each machine as well.

    Args:
      place: of the model, local or gs://.
      batch_size: photos handed to the model at once, rounded down to whole chunks.
      threads: number of threads that decode, in each process.
      top_k: number of classes that are kept of each photo.
      embed: whether embeddings are computed.
    """

    def __init__(self, place: ModelPath, batch_size: int, threads: int, top_k: int, embed: bool):
        super().__init__()
        self._place = place
        self._batch_size = batch_size
        self._threads = threads
        self._top_k = top_k
        self._embed = embed

    def load_model(self) -> Network:
        """Loads the model."""
        return model.load(self._place, self._top_k, self._embed, self._threads)

    def run_inference(
        self, batch: Sequence[Chunk], model: Network, inference_args: dict[str, Any] | None = None
    ) -> list[ChunkPredictions]:
        """Scores chunks of photos.

        Args:
          batch: chunks.
          model: that scores.
          inference_args: not used.

        Returns:
          for each photo of each chunk its prediction, or why it could not be read.
        """
        return model.predict(batch)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Returns the number of chunks of a batch, as Beam's BatchElements takes it."""
        chunks = max(1, self._batch_size // model.CHUNK)
        return {"min_batch_size": chunks, "max_batch_size": chunks}

    def get_num_bytes(self, batch: Sequence[Chunk]) -> int:
        """Returns the size of the encoded photos, bytes."""
        return sum(len(photo) for chunk in batch for photo in chunk)

    def get_metrics_namespace(self) -> str:
        """Returns the namespace of Beam's metrics on inference."""
        return "gld2"
