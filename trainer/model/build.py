"""Builds the network for training and for export, and compiles it for a phase."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from pipelines.common.labels import Label
from trainer.config import ARCFACE, AUTO, HEAD, LOGITS, MANY_CLASSES, ON, SCRATCH, Config, Phase
from trainer.model import backbones, heads, losses


def build(config: Config, classes: int, precision: str = "float32") -> keras.Model:
    """Builds the network that is trained: backbone, pooling and classifier.

    Args:
      config: the run.
      classes: number of outputs.
      precision: what the backbone computes in, 'float32' or 'bfloat16'; its weights are float32.

    Returns:
      A model from [batch, size, size, 3] RGB 0-255, float or uint8, to [batch, classes] float32
      logits.

    Raises:
      UserError: the weights are not available or do not fit the backbone.
    """
    size = config.image_size
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    backbone = backbones.build(config.backbone, size, config.weights, config.alpha, config.phi)
    if not config.pretrained:
        backbones.set_momentum(backbone, config.bn_momentum)
    photos = keras.Input((size, size, 3), name="photo")
    features = backbone(backbones.scaled(config.backbone, photos))
    keras.config.set_dtype_policy("float32")
    classifier = heads.Classifier(
        classes,
        config.subcentres,
        config.arcface_scale if config.head == ARCFACE else None,
        spreads_head(config, classes),
    )
    return keras.Model(photos, classifier(heads.embedding(features, config)), name="gld2")


def spreads_head(config: Config, classes: int) -> bool:
    """Returns whether the classifier's weights are to be split over the devices."""
    return config.shard_head == ON or (config.shard_head == AUTO and classes >= MANY_CLASSES)


def with_new_classes(
    network: keras.Model, config: Config, old: Sequence[Label], new: Sequence[Label], precision: str
) -> keras.Model:
    """Builds the network for other classes, with the trained weights of the given network.

    Landmarks that are in both lists keep their weights in the head; new ones are initialised.

    Args:
      network: trained for `old`.
      config: the run.
      old: the network's classes, in the order of its outputs.
      new: the classes of the network to build.
      precision: as in `build`.
    """
    successor = build(config, len(new), precision)
    for before, after in zip(network.layers, successor.layers, strict=True):
        if isinstance(after, heads.Classifier):
            indices = {label.landmark_id: index for index, label in enumerate(old)}
            source = np.array([indices.get(label.landmark_id, -1) for label in new])
            after.copy_classes(before, source)
        else:
            after.set_weights(before.get_weights())
    return successor


def with_scores(network: keras.Model) -> keras.Model:
    """Returns the network for export: Keras' own layers, to [batch, classes] float32 scores."""
    embedding = network.get_layer(heads.EMBEDDING).output
    logits = network.get_layer(LOGITS).to_plain_layers(embedding)
    scores = keras.layers.Activation("softmax", dtype="float32", name="scores")(logits)
    return keras.Model(network.input, scores, name=network.name)


def with_embedding(scorer: keras.Model) -> keras.Model:
    """Returns the same layers with two outputs, scores and embeddings.

    Args:
      scorer: from `with_scores`.

    Returns:
      A model to {"scores": [batch, classes], "embedding": [batch, features]}; embeddings have
      length 1.
    """
    unit = keras.layers.UnitNormalization(dtype="float32", name="unit")
    embedding = unit(scorer.get_layer(heads.EMBEDDING).output)
    return keras.Model(scorer.input, {"scores": scorer.output, "embedding": embedding})


def compile_for(
    network: keras.Model,
    config: Config,
    phase: Phase,
    steps: int,
    batch: int,
    labels: Sequence[Label],
) -> None:
    """Freezes or unfreezes the backbone as the phase asks, and compiles with a new optimizer.

    Args:
      network: from `build`.
      config: the run.
      phase: which variables are trained, and at which rate.
      steps: optimizer steps in the whole phase.
      batch: photos a step, over all devices and hosts.
      labels: the classes, with their numbers of photos.
    """
    backbone = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    if phase.name == HEAD:
        backbones.freeze(backbone)
    else:
        # Pretrained batch-norm averages stay: those of a few small batches would be worse.
        backbones.unfreeze(backbone, normalisation=phase.name == SCRATCH)
    network.compile(
        optimizer=optimizer(config, phase.rate * batch / 32, steps),
        loss=loss(config, labels),
        metrics=[keras.metrics.MeanMetricWrapper(losses.is_correct, name="accuracy")],
    )
    network.optimizer.build(network.trainable_variables)


def loss(config: Config, labels: Sequence[Label]) -> losses.Loss:
    """Returns cross-entropy, with ArcFace's margins by class size or with mixup's two labels.

    Args:
      config: the run.
      labels: the classes, with their numbers of photos.
    """
    smoothed = losses.smoothed_cross_entropy(config.label_smoothing)
    if config.head == ARCFACE:
        sizes = np.array([label.images for label in labels])
        margins = losses.margins_by_size(sizes, config.margin)
        return losses.with_margin(smoothed, margins, config.arcface_scale)
    return losses.with_mixup(smoothed) if config.mixup else smoothed


def optimizer(config: Config, peak: float, steps: int) -> keras.Optimizer:
    """Returns AdamW with a linear warm-up and a cosine decay; biases and scales do not decay.

    Args:
      config: the run.
      peak: the highest learning rate.
      steps: number of steps in which the rate rises and falls back to 0.
    """
    warmup = int(config.warmup * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
        decay_steps=steps - warmup,
    )
    adamw = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    adamw.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return adamw
