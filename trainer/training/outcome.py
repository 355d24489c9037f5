"""Defines done.json, the outcome of a training run."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pipelines.common.records import json_record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a run: done.json, which `gld2 train` writes last.

    Attributes:
      images: number of images in the train split that was trained on last.
      classes: number of its classes.
      parameters: number of the network's parameters.
      epochs: number of epochs in all phases.
      seconds: duration of all epochs, validation included.
      val_loss, val_accuracy, val_gap, val_precision, val_recall, val_true_probability: METRICS
        after the last epoch; None where there was no validation split.
      export: the folder of the trained model.
    """

    REMEDY: ClassVar[str] = "remove it and run gld2 train again"

    images: int
    classes: int
    parameters: int
    epochs: int
    seconds: float
    val_loss: float | None = json_record.optional()
    val_accuracy: float | None = json_record.optional()
    val_gap: float | None = json_record.optional()
    val_precision: float | None = json_record.optional()
    val_recall: float | None = json_record.optional()
    val_true_probability: float | None = json_record.optional()
    export: str
