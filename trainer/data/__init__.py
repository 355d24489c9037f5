"""The input of training: from a dataset's shards to batches.

dataset: opens a version of a dataset, and checks its labels, counts and shards.
shard_cache: copies shards from gs:// to a local disk.
preprocessing: TensorFlow ops from a photo's bytes to the network's input.
input_pipeline: tf.data pipelines over the shards, for training and for evaluation.
diagnose: finds the record that ended a run.
"""
