"""Exports a trained model to JOB/export, for use without this package.

`python -m trainer.export` makes the export's SavedModel again from its model.keras.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.common import cli, labels, quiet
from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import Options, flag
from trainer.config import METRICS, Config, Row

if TYPE_CHECKING:
    from trainer.data.dataset import Version

_EPILOG = """\
examples:
  For gld2 score, where an earlier version exported the model:
    python -m trainer.export job/export/model.keras job/export/saved_model

KERAS_FILE and FOLDER may be gs:// paths. The README.md in each JOB_DIR/export of gld2 train
describes the inputs and outputs of the SavedModel's signatures.
"""


def export(
    values: Sequence[np.ndarray], config: Config, version: Version, row: Row, folder: str
) -> None:
    """Writes model.keras, saved_model/, labels.csv, stats.json and README.md.

    The network is rebuilt in float32 on one device, whatever it was trained on.

    Args:
      values: the trained network's variables.
      config: the run's configuration.
      version: the dataset that was trained on last.
      row: the last epoch's row of history.
      folder: the export's folder, which is replaced.
    """
    # These import TensorFlow, which --help should not wait for.
    import keras
    import tensorflow as tf

    from trainer import gfile
    from trainer.model import build

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
        make_saved_model(path, f"{folder}/saved_model")
    gfile.write(f"{folder}/labels.csv", labels.format_labels(version.labels))
    # stats.json says how photos were normalised; scoring has to do the same.
    tf.io.gfile.copy(f"{version.folder}/stats.json", f"{folder}/stats.json")
    gfile.write(f"{folder}/README.md", model_card(config, version, row))


def make_saved_model(keras_file: str, folder: str) -> None:
    """Makes the SavedModel of a model.keras; where Keras runs on JAX, in a process on TensorFlow.

    Args:
      keras_file: a model.keras that `export` wrote.
      folder: the SavedModel's folder, which is replaced.

    Raises:
      UserError: the file is no such model, or the folder cannot be written.
      RuntimeError: the other process failed; the message has its standard error.
    """
    import keras

    from trainer import saved_model

    if keras.config.backend() == "tensorflow":
        saved_model.convert(keras_file, folder)
        return
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "trainer.export", keras_file, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{folder}: TensorFlow could not load the trained model\n{done.stderr}")


def model_card(config: Config, version: Version, row: Row) -> str:
    """Returns the README.md of an export: the model, its metrics, and how to call it."""
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

`saved_model/` needs TensorFlow alone, and takes photos as they lie on disk:

```python
import tensorflow as tf

serve = tf.saved_model.load("saved_model").signatures["serving_default"]
scores = serve(image=tf.constant([open("photo.jpg", "rb").read()]))["scores"]
```

Column `i` of the scores is the landmark in row `i` of `labels.csv`. Every photo gets a best class,
also one that shows no landmark: use the score to tell them apart.

Three more signatures do it in steps, and give embeddings. Pixels are RGB from 0 to 255, float32:

| signature | takes | gives |
|---|---|---|
| `preprocess` | `image`: one photo's bytes | `pixels` [{size}, {size}, 3], as in validation |
| `score` | `pixels` [n, {size}, {size}, 3] | `scores` [n, {classes}] |
| `embed` | `pixels` [n, {size}, {size}, 3] | `scores`, `embedding` [n, features] of length 1 |

`model.keras` is the same network for [batch, {size}, {size}, 3] RGB pixels from 0 to 255;
`python -m trainer.export model.keras saved_model` makes `saved_model/` of it anew.
"""


@dataclasses.dataclass(frozen=True)
class ExportOptions(Options):
    """The arguments of python -m trainer.export."""

    keras_file: str = flag(
        about="JOB_DIR/export/model.keras", metavar="KERAS_FILE", positional=True
    )
    folder: str = flag(
        about="the output: JOB_DIR/export/saved_model, which is replaced",
        metavar="FOLDER",
        positional=True,
    )


_PROGRAM = "python -m trainer.export"
COMMAND = Command(
    "export",
    ExportOptions,
    "Makes the SavedModel of a model.keras of gld2 train.",
    _EPILOG,
    program=_PROGRAM,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0.

    Args:
      argv: arguments; None for the process's own.

    Raises:
      UserError: an error that the user can correct.
    """
    options = COMMAND.parse(argv)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet.tensorflow():
        from trainer import saved_model
    saved_model.convert(options.keras_file, options.folder)
    print(f"export: {options.folder}")
    return 0


if __name__ == "__main__":
    cli.leave_with(lambda: cli.run(_PROGRAM, "trainer.export", "trainer", sys.argv[1:]))
