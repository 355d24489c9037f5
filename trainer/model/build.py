"""The network that is trained, the one that is served, and how a phase compiles it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from pipelines.common.labels import Label
from trainer.config import ARCFACE, AUTO, HEAD, LOGITS, MANY_CLASSES, ON, SCRATCH, Config, Phase
from trainer.model import backbones, heads, losses


def build(config: Config, classes: int, precision: str = "float32") -> keras.Model:
    """The network as it is trained.

    Args:
      config: the run.
      classes: outputs.
      precision: what the backbone computes in, 'float32' or 'bfloat16'; its weights are float32.

    Returns:
      [batch, size, size, 3] RGB 0-255, float or uint8, to [batch, classes] float32 logits.

    Raises:
      UserError: weights that do not fit.
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
    """Whether the classifier's weights are to lie on all devices, a part on each."""
    return config.shard_head == ON or (config.shard_head == AUTO and classes >= MANY_CLASSES)


def grown(
    network: keras.Model, config: Config, old: Sequence[Label], new: Sequence[Label], precision: str
) -> keras.Model:
    """The same network for other classes; those that both have keep their part of the head.

    Args:
      network: trained for `old`.
      config: the run.
      old: the classes that it has.
      new: those that it shall have.
      precision: as for `build`.
    """
    successor = build(config, len(new), precision)
    for before, after in zip(network.layers, successor.layers, strict=True):
        if isinstance(after, heads.Classifier):
            places = {label.landmark_id: place for place, label in enumerate(old)}
            source = np.array([places.get(label.landmark_id, -1) for label in new])
            after.carry(before, source)
        else:
            after.set_weights(before.get_weights())
    return successor


def with_scores(network: keras.Model) -> keras.Model:
    """The same function in float32 and Keras' own layers, ending in [batch, classes] scores."""
    embedding = network.get_layer(heads.EMBEDDING).output
    logits = network.get_layer(LOGITS).plain(embedding)
    scores = keras.layers.Activation("softmax", dtype="float32", name="scores")(logits)
    return keras.Model(network.input, scores, name=network.name)


def with_embedding(scorer: keras.Model) -> keras.Model:
    """The same layers with two outputs: scores, and [batch, features] embeddings of length 1."""
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
    """Frees and freezes what the phase says, and starts a new optimizer.

    Args:
      network: from `build`.
      config: the run.
      phase: what is trained.
      steps: optimizer steps in the whole phase.
      batch: photos a step, over all devices and hosts.
      labels: the classes, with their photos.
    """
    backbone = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    if phase.name == HEAD:
        backbones.freeze(backbone)
    else:
        # Pretrained averages stay: a few small batches of other photos would only spoil them.
        backbones.unfreeze(backbone, normalisation=phase.name == SCRATCH)
    network.compile(
        optimizer=optimizer(config, phase.rate * batch / 32, steps),
        loss=loss(config, labels),
        metrics=[keras.metrics.MeanMetricWrapper(losses.is_best, name="accuracy")],
    )
    network.optimizer.build(network.trainable_variables)


def loss(config: Config, labels: Sequence[Label]) -> losses.Loss:
    """Cross-entropy, with ArcFace's margins by class size or mixup's two labels."""
    smoothed = losses.smoothed_cross_entropy(config.label_smoothing)
    if config.head == ARCFACE:
        sizes = np.array([label.images for label in labels])
        margins = losses.margins_by_size(sizes, config.margin)
        return losses.with_margin(smoothed, margins, config.arcface_scale)
    return losses.mixed(smoothed) if config.mixup else smoothed


def optimizer(config: Config, peak: float, steps: int) -> keras.Optimizer:
    """AdamW with a linear warm-up and a cosine decay.

    Args:
      config: the run.
      peak: the highest learning rate.
      steps: until it is 0 again.
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
