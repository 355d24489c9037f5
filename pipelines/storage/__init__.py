"""Bytes: file systems, streams and file formats. No Beam but for gs://.

http_status: when to retry, from HTTP answers.
streams: byte streams from http(s), gs:// or a folder, retried and resumed.
filesystem: small whole files on a disk or gs://.
hashing: SHA-256 of bytes, and a seeded order of ids.
tf_example: tf.train.Example without TensorFlow.
tfrecord: the frames of TFRecord files.
rejects: rejected images as JSON Lines.
parquet: Parquet files with the columns of common.schema.
ranged_reads: records of staged files by location.
photo_records: staged or sharded photos, found and read.
staged_photos: facts, decisions and JPEGs of staged photos by id.
"""
