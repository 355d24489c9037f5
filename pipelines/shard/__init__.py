"""Stage 3, gld2 shard: kept photos become TFRecord shards and a published version.

In the order of the data's way:

  command        the command line
  options        flags: version, size and number of shards
  plan           reads decisions and plans the shards
  pipeline       the Beam pipeline that writes the shards
  channel_stats  mean and standard deviation of the channels
  dataset_card   the dataset card, README.md
  tfds_metadata  metadata by which TensorFlow Datasets reads the shards
  publish        checks the sums and moves everything to the folder of the version
"""
