"""A training run: from its configuration to an exported model.

loop: trains phase after phase, continues an interrupted run, and exports the result.
validation: predicts the validation split after each epoch, and computes its metrics.
tensorboard: logs a run for TensorBoard.
history: writes history.csv and curves.png.
checkpoints: saves the state of training, and restores it.
outcome: what done.json says of a run.
"""
