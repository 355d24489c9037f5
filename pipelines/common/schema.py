"""The on-disk formats: their only owner.

Everything that is written by one stage and read by another is named here. The
trainer imports this module on machines that have neither Beam nor Arrow, so it
imports nothing heavier than numpy.
"""

from __future__ import annotations

import re

DATASET = "gld2"
SPLITS = ("train", "test")
STAGED_SPLITS = ("train", "index", "test")  # index is staged alone: it has no landmarks of train's
ID = re.compile(r"[0-9a-f]{16}\Z")


# ---- TFRecord features: DELF's keys, and two of our own -------------------------------------

ENCODED = "image/encoded"  # JPEG, RGB, upright, bounded
IMAGE_ID = "image/id"  # 16 hex
HEIGHT = "image/height"  # pixels
WIDTH = "image/width"  # pixels
CHANNELS = "image/channels"  # 3
COLORSPACE = "image/colorspace"  # RGB
FORMAT = "image/format"  # JPEG
LABEL = "image/class/label"  # index into labels.csv; absent on test
LANDMARK_ID = "image/class/landmark_id"  # GLDv2's landmark_id; absent on test
# What a CC-BY licence asks for, where it was asked for: column of the attribution CSV -> key.
ATTRIBUTION = {name: f"attribution/{name}" for name in ("url", "author", "license", "title")}


# ---- Parquet columns: name -> Arrow type ----------------------------------------------------

FACTS = {  # one row for each image ever seen in a source
    "id": "string",  # 16 hex; empty where the name held none
    "split": "string",
    "unit": "string",  # the source archive, or a block of rows
    "offset": "int64",  # bytes: where the record's frame begins in staged/<unit>.tfrecord
    "length": "int64",  # bytes of that frame; offset and length are null where not staged
    "status": "string",  # staged | rejected
    "reason": "string",  # a Reason, or null where staged
    "sha256": "string",  # of the source file's bytes, 64 hex; null where there are none
    "phash": "uint64",  # perceptual hash of the upright image; null where not decoded
    "dhash": "uint64",  # difference hash, likewise
    "fine_0": "uint64",  # 128 bits of a finer pHash, likewise
    "fine_1": "uint64",
    "entropy": "float32",  # of the grey levels, bits
    "width": "int32",  # pixels of the source, upright
    "height": "int32",
    "bytes": "int64",  # of the source file
}
STAGED, REJECTED = "staged", "rejected"

PAIRS = {  # one row for each two photos that look alike by one hash; the same two may come by both
    "a": "uint64",  # an id, as the number that its 16 hex are
    "b": "uint64",
    "a_split": "string",
    "b_split": "string",
    "distance": "uint8",  # bits in which the two differ, of the hash's 64
    "fine": "uint8",  # bits in which they differ, of 128
}

DECISIONS = {  # one row for each row of facts
    "id": "string",
    "landmark_id": "int64",  # null on test, or where train.csv has no row
    "keep": "bool",
    "reason": "string",  # a Reason, or null where kept
    "duplicate_of": "string",  # the id that it repeats, or null
    "label": "int64",  # index into labels.csv, or null
    "split": "string",  # train | validation | test
}
PREDICTIONS = {  # one row for each photo that was scored, in the unit's order
    "id": "string",
    "landmark_id": "int64",  # what it is known to show, or null
    "landmark_ids": "list<int64>",  # of the best classes, the best first
    "scores": "list<float32>",  # their probabilities
    "embedding": "list<float32>",  # of length 1, or null
}
TOP_K = {"id": "string", "rank": "int64", "landmark_id": "int64", "score": "float32"}
EVIDENCE = {  # one row for each scored photo, likewise
    "id": "string",
    "neighbours": "list<string>",  # ids of the nearest train photos, the nearest first
    "landmark_ids": "list<int64>",  # that they show
    "similarities": "list<float32>",  # cosines
    "penalties": "list<float32>",  # their mean cosine to their nearest non-landmark photos
    "own": "float32",  # the photo's own
}
NON_LANDMARKS = {"id": "string", "embedding": "list<float32>"}
VALIDATION = "validation"
OUTPUT_SPLITS = ("train", VALIDATION, "test")
