"""The network that is trained, the one that is served, and how a phase compiles it."""

from __future__ import annotations

import keras

from trainer import backbones, heads, losses
from trainer.config import HEAD, SCRATCH, Config, Phase


def build(config: Config, classes: int) -> keras.Model:
    """The network as it is trained.

    Returns:
      [batch, size, size, 3] RGB 0-255, float or uint8, to [batch, classes] float32 logits.

    Raises:
      UserError: weights that do not fit.
    """
    size = config.image_size
    backbone = backbones.build(config.backbone, size, config.weights, config.alpha, config.phi)
    if not config.pretrained:
        backbones.set_momentum(backbone, config.bn_momentum)
    photos = keras.Input((size, size, 3), name="photo")
    features = backbone(backbones.scaled(config.backbone, photos))
    return keras.Model(photos, heads.softmax(features, classes, config.dropout), name="gld2")


def with_scores(network: keras.Model) -> keras.Model:
    """The same layers, ending in [batch, classes] float32 softmax scores."""
    scores = keras.layers.Activation("softmax", dtype="float32", name="scores")
    return keras.Model(network.input, scores(network.output), name=network.name)


def with_embedding(scorer: keras.Model) -> keras.Model:
    """The same layers with two outputs: scores, and [batch, features] embeddings of length 1."""
    unit = keras.layers.UnitNormalization(dtype="float32", name="unit")
    embedding = unit(scorer.get_layer(heads.EMBEDDING).output)
    return keras.Model(scorer.input, {"scores": scorer.output, "embedding": embedding})


def compile_for(network: keras.Model, config: Config, phase: Phase, steps: int) -> None:
    """Frees and freezes what the phase says, and starts a new optimizer.

    Args:
      network: from `build`.
      config: the run.
      phase: what is trained.
      steps: optimizer steps in the whole phase.
    """
    backbone = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    if phase.name == HEAD:
        backbones.freeze(backbone)
    else:
        # Pretrained averages stay: a few small batches of other photos would only spoil them.
        backbones.unfreeze(backbone, normalisation=phase.name == SCRATCH)
    network.compile(
        optimizer=_optimizer(config, phase, steps),
        loss=losses.smoothed_cross_entropy(config.label_smoothing),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    network.optimizer.build(network.trainable_variables)


def _optimizer(config: Config, phase: Phase, steps: int) -> keras.Optimizer:
    warmup = int(config.warmup * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else phase.rate,
        warmup_target=phase.rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=steps - warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
