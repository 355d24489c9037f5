"""Defines the reasons why images, rows and archives are not kept, and the lines of rejects/."""

from __future__ import annotations

import dataclasses
import enum


class Reason(enum.StrEnum):
    """A reason why an image, a row or an archive is not kept."""

    # download
    BAD_NAME = "bad_name"  # the file's name has no id of 16 hex digits, or it is no plain file
    REPEATED_ID = "repeated_id"  # an earlier image has this id
    EMPTY = "empty"  # zero bytes
    NOT_AN_IMAGE = "not_an_image"  # its format is no known image format
    UNDECODABLE = "undecodable"  # an image, but not all its pixels can be decoded
    TOO_LARGE = "too_large"  # more bytes or pixels than allowed
    MISSING = "missing"  # a CSV lists it, but there is no such file
    NOT_FOUND = "not_found"  # its URL answers 404 or 410
    BAD_URL = "bad_url"  # its URL is malformed, not http(s), or redirects too often
    FORBIDDEN_ADDRESS = "forbidden_address"  # its URL leads to a private network
    OPTED_OUT = "opted_out"  # its server forbids use for machine learning
    # a whole archive
    UNREACHABLE = "unreachable"  # it could not be fetched
    BAD_ARCHIVE = "bad_archive"  # it is not a whole tar
    MD5_MISMATCH = "md5_mismatch"  # its md5 is not the published one
    # curate
    REFERENCE = "reference"  # an index image: only used to find copies of it in train
    NO_LANDMARK = "no_landmark"  # train.csv has no row for it
    SEVERAL_LANDMARKS = "several_landmarks"  # train.csv has rows for it with different landmarks
    TOO_SMALL = "too_small"  # a side is shorter than --min_side
    EXTREME_ASPECT = "extreme_aspect"  # its sides' ratio is over the limit
    BLANK = "blank"  # its entropy is under the limit
    NOT_CLEAN = "not_clean"  # it is not on the clean list
    LICENCE = "licence"  # its licence is not one of the wanted ones
    AUTHOR = "author"  # its author is excluded
    CATEGORY = "category"  # its landmark is in none of the wanted categories
    DUPLICATE = "duplicate"  # the same bytes as another image of its landmark
    NEAR_DUPLICATE = "near_duplicate"  # nearly the same photo as another image
    LABEL_CONFLICT = "label_conflict"  # the same or nearly the same photo under several landmarks
    IN_TEST = "in_test"  # the same bytes as a test image
    NEAR_TEST = "near_test"  # nearly the same photo as a test image
    IN_INDEX = "in_index"  # the same bytes as an index image
    NEAR_INDEX = "near_index"  # nearly the same photo as an index image
    RARE_CLASS = "rare_class"  # its landmark has too few images
    # score
    NOT_LISTED = "not_listed"  # the submission has no row for it


@dataclasses.dataclass(frozen=True)
class Reject:
    """One line of rejects/*.jsonl: an image or a unit that was not kept.

    Attributes:
      id: the image's id; empty for a whole unit or a file without an id.
      unit: the source archive or block of rows.
      stage: download, curate or score.
      reason: why it was not kept.
      detail: what was expected and what was found, for a reader.
    """

    id: str
    unit: str
    stage: str
    reason: Reason
    detail: str


class Rejected(ValueError):
    """An image or an archive is not kept.

    Attributes:
      reason: why, as it goes into the facts.
      detail: what was expected and what was found.
    """

    def __init__(self, reason: Reason, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
