"""Finds and reads the TFRecord files of photos, staged or sharded. No Beam."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from pipelines.common import paths, schema, versions
from pipelines.common.errors import UserError
from pipelines.common.schema import DATASET
from pipelines.storage import filesystem, tf_example, tfrecord


def find(place: str, split: str, flag: str = "--images") -> list[str]:
    """Returns the paths of the TFRecord files of a split.

    Args:
      place: OUT of gld2 prepare, its staged folder, its dataset folder (the
        newest version is taken), a version folder, or one file.
      split: train, validation or test.
      flag: the flag that names the place, for the error.

    Raises:
      UserError: there are none.
    """
    found = list_files(place, split)
    if not found:
        raise UserError(f"{flag} {place}: found no staged or sharded {split} photos there")
    return found


def list_files(place: str, split: str) -> list[str]:
    """Returns the paths that `find` returns; an empty list where there are none."""
    found = [place] if ".tfrecord" in place.rpartition("/")[2] and filesystem.exists(place) else []
    for folder in (place, paths.join(place, "staged"), *_versions(place)):
        found = found or filesystem.match(paths.join(folder, f"{split}-*.tfrecord"))
        shards = paths.join(folder, f"{DATASET}-{split}.tfrecord-?????-of-?????")
        found = found or filesystem.match(shards)
    return found


def read(path: str) -> Iterator[tuple[str, bytes]]:
    """Yields the id and the JPEG of each photo in a staged file or a shard.

    Raises:
      UserError: the file is cut short or garbled.
    """
    for image_id, photo, _ in read_labelled(path):
        yield image_id, photo


def read_labelled(path: str) -> Iterator[tuple[str, bytes, int | None]]:
    """Yields the id, the JPEG and the landmark_id or None of each photo in a file of records.

    Raises:
      UserError: the file is cut short or garbled.
    """
    with filesystem.open_read(path) as file:
        try:
            for record in tfrecord.read(file):
                yield _labelled(record)
        except (ValueError, KeyError, DecodeError) as error:
            raise UserError(f"{path}: {_describe(error)}; make it again") from None


def _labelled(record: bytes) -> tuple[str, bytes, int | None]:
    features: dict[str, Any] = dict(tf_example.decode(record))
    image_id = features[schema.IMAGE_ID].decode()
    return image_id, features[schema.ENCODED], features.get(schema.LANDMARK_ID)


def _describe(error: Exception) -> str:
    if isinstance(error, tfrecord.Corrupt):
        return str(error)
    return f"expected records with {schema.IMAGE_ID} and {schema.ENCODED}, found others ({error})"


def _versions(place: str) -> list[str]:
    """Returns the version folders below OUT or OUT/dataset, the newest first."""
    found = [
        folder
        for root in (paths.join(place, "dataset"), place)
        for folder in filesystem.folders(paths.join(root, DATASET))
        if filesystem.exists(paths.join(folder, "stats.json"))
    ]
    return versions.newest_first(found)
