"""Names the features, columns and values of the files that stages exchange.

The trainer imports this module on machines with neither Beam nor Arrow, so it imports
nothing heavier than numpy.
"""

from __future__ import annotations

import re

DATASET = "gld2"
SPLITS = ("train", "test")
STAGED_SPLITS = ("train", "index", "test")  # index is only staged: its landmarks are not train's
ID = re.compile(r"[0-9a-f]{16}\Z")


# ---- TFRecord features: DELF's keys, and two more -------------------------------------------

ENCODED = "image/encoded"  # JPEG, RGB, upright, of bounded size
IMAGE_ID = "image/id"  # 16 hex digits
HEIGHT = "image/height"  # pixels
WIDTH = "image/width"  # pixels
CHANNELS = "image/channels"  # 3
COLORSPACE = "image/colorspace"  # RGB
FORMAT = "image/format"  # JPEG
LABEL = "image/class/label"  # index into labels.csv; absent on test
LANDMARK_ID = "image/class/landmark_id"  # GLDv2's landmark_id; absent on test
# What a CC-BY licence requires, with --with_attribution: column of the attribution CSV -> key.
ATTRIBUTION = {name: f"attribution/{name}" for name in ("url", "author", "license", "title")}


# ---- Parquet columns: name -> Arrow type ----------------------------------------------------

FACTS = {  # one row for each image found in a source
    "id": "string",  # 16 hex digits; empty where the file's name has none
    "split": "string",
    "unit": "string",  # the source archive, or a block of rows
    "offset": "int64",  # bytes: start of the record's frame in staged/<unit>.tfrecord
    "length": "int64",  # bytes of that frame; offset and length are null where not staged
    "status": "string",  # staged | rejected
    "reason": "string",  # a Reason, or null where staged
    "sha256": "string",  # of the source file, 64 hex digits; null without a file
    "phash": "uint64",  # perceptual hash of the upright image; null where not decoded
    "dhash": "uint64",  # difference hash; nulls as in phash
    "fine_0": "uint64",  # with fine_1: 128 bits of a finer pHash; nulls as in phash
    "fine_1": "uint64",
    "entropy": "float32",  # of the grey levels, bits
    "width": "int32",  # pixels of the source, upright
    "height": "int32",
    "bytes": "int64",  # of the source file
}
STAGED, REJECTED = "staged", "rejected"

PAIRS = {  # one row for each pair of photos that are similar by one hash; two hashes, two rows
    "a": "uint64",  # an id as a number, from its 16 hex digits
    "b": "uint64",
    "a_split": "string",
    "b_split": "string",
    "distance": "uint8",  # Hamming distance of the hashes, of 64 bits
    "fine": "uint8",  # Hamming distance of the finer pHashes, of 128 bits
}

DECISIONS = {  # one row for each row of facts
    "id": "string",
    "landmark_id": "int64",  # null on test, or where train.csv has no row
    "keep": "bool",
    "reason": "string",  # a Reason, or null where kept
    "duplicate_of": "string",  # the id of the image that it duplicates, or null
    "label": "int64",  # index into labels.csv, or null
    "split": "string",  # train | validation | test
}
PREDICTIONS = {  # one row for each scored photo, in the unit's order
    "id": "string",
    "landmark_id": "int64",  # its known landmark, or null
    "landmark_ids": "list<int64>",  # the best classes, best first
    "scores": "list<float32>",  # their probabilities
    "embedding": "list<float32>",  # of length 1, or null
}
TOP_K = {"id": "string", "rank": "int64", "landmark_id": "int64", "score": "float32"}
EVIDENCE = {  # one row for each scored photo, in the unit's order
    "id": "string",
    "neighbours": "list<string>",  # ids of the nearest train photos, nearest first
    "landmark_ids": "list<int64>",  # of the neighbours
    "similarities": "list<float32>",  # their cosines to the photo
    # mean cosines of the neighbours to non-landmark photos
    "non_landmark_similarities": "list<float32>",
    # the mean cosine of the photo to its nearest non-landmark photos
    "query_non_landmark_similarity": "float32",
}
NON_LANDMARKS = {"id": "string", "embedding": "list<float32>"}
VALIDATION = "validation"
OUTPUT_SPLITS = ("train", VALIDATION, "test")
