"""Keras trainer for the shards that `pipelines` writes. It needs neither Beam nor TFT."""

import os

# Keras reads this once, when it is first imported. On CPU its TensorFlow backend trains about ten
# times faster than JAX; `devices.choose_backend` selects JAX for a TPU.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
