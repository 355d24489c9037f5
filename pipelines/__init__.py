"""Beam pipelines that turn Google Landmarks Dataset v2 into shards and a scored submission.

In the order of the data's way:

  main        the gld2 command: a table of all commands
  demo        runs every command once, on a generated sample
  prepare     runs download, curate and shard in order
  sample      a generated sample of the dataset, as folders, archives or an HTTP server
  source      finds what --source has: layouts, CSVs, units
  download    stage 1: archives, URLs or folders become staged photos and facts
  curate      stage 2: facts and metadata become one decision for each image
  shard       stage 3: kept photos become TFRecord shards and a published version
  inspection  shows a dataset, or verifies every byte of it
  score       stage 5: an exported model scores photos; re-ranking by retrieval
  kaggle      reads, writes and validates submissions and solutions
  evaluate    stage 6: GAP, curves, bootstrap, worst errors
  report      a web page about a prepared dataset
  plan        the time, machines and dollars that everything takes
  runner      Beam: runs pipelines, their flags, partitions, progress
  imaging     pixels: normalises, hashes and tiles photos
  storage     bytes: file systems, streams, TFRecord, Parquet
  common      formats, paths, labels, reasons, errors, GAP, options, the command line
"""
