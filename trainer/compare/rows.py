"""The rows of Table 1: what each run came to, and the figures of the paper."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Paper:
    """The paper's figures for a network.

    Source: "MobileNet and EfficientNet Demonstration on Google Landmark Recognition Dataset",
    table 1, on a TPU v3-8. Its "accuracy" is the mean probability of the true class over about
    100 test images.

    Attributes:
      hours: duration of training, hours.
      true_probability: the paper's "accuracy".
      gap: Global Average Precision on Kaggle's test set.
    """

    hours: float
    true_probability: float
    gap: float


PAPER = {  # by Row.network
    "efficientnet_b0": Paper(1.5, 0.77, 0.47),
    "mobilenet_v2": Paper(2.6, 0.36, 0.24),
    "resnet50": Paper(2.4, 0.67, 0.47),
}


@dataclasses.dataclass
class Row:
    """A row of the table; a figure that was not measured is None.

    Attributes:
      run: the run's name.
      network: backbone, and ':SIZE' where that is not the default.
      weights: initial weights: 'imagenet', 'none' or the name of a file.
      image_size: side of a photo, pixels.
      pretrained: 'yes' or 'no'.
      batch_size: photos per training step.
      head_epochs: epochs of the classifier alone.
      epochs: epochs of all layers on each dataset, separated by commas.
      device: the devices that speed was measured on.
      split: the split that quality was measured on; '' for none.
      seconds: duration of all epochs, validation included.
      accuracy: share of photos whose best class is right.
      gap: Global Average Precision; gap_public and gap_private are of Kaggle's parts.
      precision, recall: as the table's notes define them.
      mean_true_probability: the paper's "accuracy", over all photos.
      parameters: number of trainable parameters, the classifier included.
      gflops: 1e9 multiply-adds for one photo.
      train_images_per_second: training speed with all layers trainable.
      inference_images_per_second: inference speed.
      problem: why figures are missing, or ''.
    """

    run: str
    network: str
    weights: str
    image_size: int
    pretrained: str | None = None
    batch_size: int | None = None
    head_epochs: int | None = None
    epochs: str | None = None
    device: str | None = None
    split: str | None = None
    seconds: float | None = None
    accuracy: float | None = None
    gap: float | None = None
    gap_public: float | None = None
    gap_private: float | None = None
    precision: float | None = None
    recall: float | None = None
    mean_true_probability: float | None = None
    parameters: int | None = None
    gflops: float | None = None
    train_images_per_second: float | None = None
    inference_images_per_second: float | None = None
    problem: str = ""

    @property
    def paper(self) -> Paper | None:
        """The paper's figures for the network; None where it has none."""
        return PAPER.get(self.network)
