"""Why an image, a row or an archive was not kept"""

from __future__ import annotations

import dataclasses
import enum


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
