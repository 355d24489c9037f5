"""JOB/export: the trained model, ready to be used by code that knows nothing of this package."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from pipelines.common import labels
from trainer import gfile
from trainer.config import METRICS, Config, Row
from trainer.data import preprocessing
from trainer.data.dataset import Version
from trainer.model import build


def export(
    values: Sequence[np.ndarray], config: Config, version: Version, row: Row, folder: str
) -> None:
    """Writes model.keras, saved_model/, labels.csv, stats.json and README.md.

    The network is built once more: in float32 and on one device, whatever it was trained on.

    Args:
      values: of the trained network's variables.
      config: the run.
      version: what it was trained on.
      row: the last epoch's row of history.
      folder: where; what is there is replaced.
    """
    keras.distribution.set_distribution(None)
    network = build.build(config, len(version.labels))
    for variable, value in zip(network.variables, values, strict=True):
        variable.assign(value)
    if tf.io.gfile.exists(folder):
        tf.io.gfile.rmtree(folder)
    tf.io.gfile.makedirs(folder)
    with tempfile.TemporaryDirectory() as local:
        path = f"{local}/model.keras"
        build.with_scores(network).save(path)
        tf.io.gfile.copy(path, f"{folder}/model.keras")
        _serve(path, f"{folder}/saved_model")
    gfile.write(f"{folder}/labels.csv", labels.format_labels(version.labels))
    # Whoever scores other photos normalises them as these were; stats.json says how.
    tf.io.gfile.copy(f"{version.folder}/stats.json", f"{folder}/stats.json")
    gfile.write(f"{folder}/README.md", model_card(config, version, row))


def _serve(path: str, folder: str) -> None:
    """Makes the SavedModel with TensorFlow's backend; where Keras runs on JAX, in a new process."""
    if keras.config.backend() == "tensorflow":
        save_serving(keras.models.load_model(path), folder)
        return
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "trainer.export", path, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{folder}: TensorFlow could not load what was trained\n{done.stderr}")


def save_serving(scorer: keras.Model, folder: str) -> None:
    """A SavedModel whose signatures take encoded photos of any size.

    serving_default: image [batch] string, JPEG or PNG -> scores [batch, classes] float32, in
      labels.csv's order.
    embed: image -> scores, and embedding [batch, features] float32 of length 1.
    """
    both = build.with_embedding(scorer)
    size = scorer.input.shape[1]

    def embed(image: tf.Tensor) -> dict[str, tf.Tensor]:
        squares = tf.map_fn(
            lambda encoded: preprocessing.whole(encoded, size),
            image,
            fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
        )
        return both(squares, training=False)

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": embed(image)["scores"]}

    archive = keras.export.ExportArchive()
    archive.track(both)
    signature = [tf.TensorSpec([None], tf.string, name="image")]
    archive.add_endpoint("serving_default", serve, input_signature=signature)
    archive.add_endpoint("embed", embed, input_signature=signature)
    archive.write_out(folder, verbose=False)


def model_card(config: Config, version: Version, row: Row) -> str:
    """README.md: what the model is, how well it does, how to call it."""
    counts = ", ".join(f"{number:,} {split}" for split, number in version.images.items())
    measured = "\n".join(
        f"| {name} | {float(row[name]):.4f} |" for name in METRICS if row.get(name)
    )
    return _CARD.format(
        backbone=config.backbone + (f" (alpha {config.alpha})" if config.alpha != 1 else ""),
        weights=Path(config.weights).name,
        size=config.image_size,
        classes=len(version.labels),
        counts=counts,
        epochs=row["epoch"],
        measured=f"| metric | value |\n|---|---|\n{measured}" if measured else _UNMEASURED,
    )


_UNMEASURED = "The dataset had no validation split: nothing was measured."
_CARD = """# Landmark classifier

| | |
|---|---|
| network | {backbone}, {size}x{size} pixels |
| started from | {weights} |
| classes | {classes:,} landmarks |
| photos | {counts} |
| epochs | {epochs} |

## On the validation split, after the last epoch

{measured}

## Use

`saved_model/` takes photos as they lie on disk, and needs TensorFlow alone:

```python
import tensorflow as tf

serve = tf.saved_model.load("saved_model").signatures["serving_default"]
scores = serve(image=tf.constant([open("photo.jpg", "rb").read()]))["scores"]
```

Column `i` of the scores is the landmark in row `i` of `labels.csv`. Every photo gets a best class,
also one that shows no landmark: use the score to tell them apart.

`model.keras` is the same network for [batch, {size}, {size}, 3] RGB pixels from 0 to 255.
"""


if __name__ == "__main__":
    save_serving(keras.models.load_model(sys.argv[1]), sys.argv[2])
