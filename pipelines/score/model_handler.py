"""Beam's RunInference over an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from pipelines.imaging.normalize import Unreadable
from pipelines.score import model
from pipelines.score.model import Network, Place, Prediction

Photos = Sequence[bytes]  # a chunk, at most network.CHUNK
Found = list[Prediction | Unreadable]  # of each photo of a chunk


class LandmarkHandler(ModelHandler[Photos, Found, Network]):
    """Loads a model once a process, for all its threads.

    Beam could share one copy over a machine's processes. That copy is told from
    others by a name in the machine's temporary folder and is called by pickles
    over a socket, so it is not done: one process with many threads, which is
    the default, has one copy of the model on a machine too.

    Args:
      place: of the model, local or gs://.
      batch_size: photos handed over at once, in whole chunks.
      threads: that decode, in each process.
      top_k: classes that are kept of each photo.
      embed: whether embeddings are wanted.
    """

    def __init__(self, place: Place, batch_size: int, threads: int, top_k: int, embed: bool):
        super().__init__()
        self._place = place
        self._batch_size = batch_size
        self._threads = threads
        self._top_k = top_k
        self._embed = embed

    def load_model(self) -> Network:
        return model.load(self._place, self._top_k, self._embed, self._threads)

    def run_inference(
        self, batch: Sequence[Photos], model: Network, inference_args: dict[str, Any] | None = None
    ) -> list[Found]:
        return model.predict(batch)

    def batch_elements_kwargs(self) -> dict[str, int]:
        chunks = max(1, self._batch_size // model.CHUNK)
        return {"min_batch_size": chunks, "max_batch_size": chunks}

    def get_num_bytes(self, batch: Sequence[Photos]) -> int:
        return sum(len(photo) for chunk in batch for photo in chunk)

    def get_metrics_namespace(self) -> str:
        return "gld2"
