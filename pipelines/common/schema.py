"""The on-disk formats: their only owner.

Everything that is written by one stage and read by another is named here. The
trainer imports this module on machines that have neither Beam nor Arrow, so it
imports nothing heavier than numpy.
"""

from __future__ import annotations

import csv
import dataclasses
import enum
import io
import re
from collections.abc import Iterable, Iterator

DATASET = "gld2"
SPLITS = ("train", "test")
STAGED_SPLITS = ("train", "index", "test")  # index is staged alone: it has no landmarks of train's
ID = re.compile(r"[0-9a-f]{16}\Z")


class UserError(ValueError):
    """A mistake that the user can mend; the commands print it as one line and exit with 2."""


class EngineError(RuntimeError):
    """An engine gave a pipeline up, through no fault of our steps; the commands exit with 1."""


class OnlyBuilt(Exception):
    """A job was built and not run, as a flag of Beam's asks; the commands print it and exit 0."""


class Reason(enum.StrEnum):
    """Why an image, a row or an archive was not kept."""

    # download
    BAD_NAME = "bad_name"  # the member's name holds no 16-hex id, or it is not a plain file
    REPEATED_ID = "repeated_id"  # an image of this id came before it
    EMPTY = "empty"  # zero bytes
    NOT_AN_IMAGE = "not_an_image"  # no known image format
    UNDECODABLE = "undecodable"  # an image format, but its pixels cannot be read whole
    TOO_LARGE = "too_large"  # more bytes or pixels than allowed
    MISSING = "missing"  # listed, but there is no such file
    NOT_FOUND = "not_found"  # its URL is gone
    BAD_URL = "bad_url"  # no http or https, or too many redirects
    FORBIDDEN_ADDRESS = "forbidden_address"  # its URL leads into a private network
    OPTED_OUT = "opted_out"  # its server asks not to be used for machine learning
    # a whole archive
    UNREACHABLE = "unreachable"  # it could not be fetched
    BAD_ARCHIVE = "bad_archive"  # it is not a whole tar
    MD5_MISMATCH = "md5_mismatch"  # its digest is not the published one
    # curate
    REFERENCE = "reference"  # an index image: train is compared with it, no more
    NO_LANDMARK = "no_landmark"  # train.csv has no row for it
    SEVERAL_LANDMARKS = "several_landmarks"  # train.csv has rows for it that disagree
    TOO_SMALL = "too_small"  # fewer pixels a side than asked for
    EXTREME_ASPECT = "extreme_aspect"  # a strip
    BLANK = "blank"  # hardly any grey levels
    NOT_CLEAN = "not_clean"  # the clean list does not have it
    LICENCE = "licence"  # its licence is not one of those asked for
    AUTHOR = "author"  # its author is left out
    CATEGORY = "category"  # its landmark is of none of the categories asked for
    DUPLICATE = "duplicate"  # the same bytes as another image of its landmark
    NEAR_DUPLICATE = "near_duplicate"  # nearly the same photo
    LABEL_CONFLICT = "label_conflict"  # the same or nearly the same photo under several landmarks
    IN_TEST = "in_test"  # the same bytes as a test image
    NEAR_TEST = "near_test"  # nearly the same photo as a test image
    IN_INDEX = "in_index"  # the same bytes as an index image
    NEAR_INDEX = "near_index"  # nearly the same photo as an index image
    RARE_CLASS = "rare_class"  # its landmark has too few images
    # score
    NOT_LISTED = "not_listed"  # the submission has no row for it


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


@dataclasses.dataclass(frozen=True)
class Reject:
    """One line of rejects/*.jsonl.

    Attributes:
      id: the image's id, or empty where a whole unit or an unnamed file is meant.
      unit: the source archive or block of rows.
      stage: download, curate or score.
      reason: why.
      detail: what was expected and what came, for a person.
    """

    id: str
    unit: str
    stage: str
    reason: Reason
    detail: str


# ---- labels.csv -----------------------------------------------------------------------------

LABELS_HEADER = ("label", "landmark_id", "images")


@dataclasses.dataclass(frozen=True)
class Label:
    """One row of labels.csv: a class, its landmark and how many images were kept for it."""

    label: int
    landmark_id: int
    images: int


def format_labels(labels: Iterable[Label]) -> str:
    """labels.csv as text, in the order given."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(LABELS_HEADER)
    writer.writerows(dataclasses.astuple(label) for label in labels)
    return out.getvalue()


def parse_labels(text: str, name: str = "labels.csv") -> list[Label]:
    """Reads labels.csv.

    Args:
      text: the file's content.
      name: what to call the file in errors.

    Raises:
      UserError: a wrong header, a malformed row, or labels that are not 0, 1, 2, ...
    """
    rows = csv.reader(io.StringIO(text))
    header = tuple(next(rows, ()))
    if header != LABELS_HEADER:
        raise UserError(f"{name}: expected the header {','.join(LABELS_HEADER)}, found {header}")
    labels = list(_label_rows(rows, name))
    for expected, label in enumerate(labels):
        if label.label != expected:
            raise UserError(f"{name} row {expected + 2}: expected label {expected}, found {label}")
    return labels


def _label_rows(rows: Iterable[list[str]], name: str) -> Iterator[Label]:
    for number, row in enumerate(rows, start=2):
        try:
            yield Label(*map(_int64, row))
        except (TypeError, ValueError):
            raise UserError(f"{name} row {number}: expected three integers, found {row}") from None


def _int64(cell: str) -> int:
    """Raises ValueError where a cell is no whole number that a column can hold."""
    number = int(cell)
    if number.bit_length() > 63:
        raise ValueError(cell)
    return number
