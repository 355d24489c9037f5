"""Finds the photos that a model is run on: of a source, of records or of a folder; no Beam."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from pipelines.common import schema
from pipelines.common.errors import UserError
from pipelines.common.options.normalization import NormalizationConfig
from pipelines.common.paths import join
from pipelines.common.reasons import Reject
from pipelines.common.records.stats import STATS, Stats
from pipelines.imaging.normalize import Unreadable, normalize
from pipelines.score.options import InferenceOptions
from pipelines.source import discover
from pipelines.source.discover import Part
from pipelines.source.unit import RecordParameters, Unit
from pipelines.storage import filesystem, photo_records

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
BLOCK = 1000  # photos of a folder that form a unit

Encoded = tuple[str, bytes, int | None]  # id, encoded photo, known landmark


@dataclasses.dataclass(frozen=True)
class Records:
    """A file of photos that are staged or sharded already.

    Attributes:
      name: the file's name without its ending.
      path: the file's path.
      checksum: tells it from another file of the same name.
    """

    name: str
    path: str
    checksum: str

    def read(self, normal: NormalizationConfig, rejects: list[Reject]) -> Iterator[Encoded]:
        """Yields the photos, which are normalised already."""
        return photo_records.read_labelled(self.path)


@dataclasses.dataclass(frozen=True)
class Folder:
    """Some photos of a folder, as one unit; a photo's id is its path below the folder.

    Attributes:
      name: the unit's name.
      root: the folder.
      paths: the photos' paths below it.
    """

    name: str
    root: str
    paths: tuple[str, ...]

    def read(self, normal: NormalizationConfig, rejects: list[Reject]) -> Iterator[Encoded]:
        """Yields the photos, normalised; appends those that cannot be read to the rejects."""
        for path in self.paths:
            try:
                photo = normalize(filesystem.read(join(self.root, path)), normal)
            except Unreadable as error:
                rejects.append(Reject(path, self.name, "score", error.reason, error.detail))
            else:
                yield path, photo.jpeg, None


Item = Part | Records | Folder


@dataclasses.dataclass(frozen=True)
class Photos:
    """The photos that a model is run on.

    Attributes:
      items: tars, splits of loose photos, files of records, folders.
      parameters: how photos are normalised that were not normalised before.
      ids: path of the CSV that lists their ids, or None.
    """

    items: tuple[Item, ...]
    parameters: RecordParameters
    ids: str | None = None

    def units(self) -> Iterator[Unit | Records | Folder]:
        """Yields the units in order; reads the CSV that lists loose photos."""
        for item in self.items:
            yield from expand(item)


def expand(item: Item) -> Iterator[Unit | Records | Folder]:
    """Yields the units of an item: itself, or the blocks of a split of loose photos."""
    if isinstance(item, Records | Folder):
        yield item
    else:
        yield from discover.expand_part(item)


def of_records(paths: Iterable[str]) -> tuple[Records, ...]:
    """Returns the units of some files of records.

    Raises:
      UserError: two files have the same name, so that one's predictions would replace the other's.
    """
    found: dict[str, str] = {}
    for path in paths:
        name = path.rpartition("/")[2].replace(".tfrecord", "")
        if name in found:
            raise UserError(f"two files of photos are named {name}: score them in separate runs")
        found[name] = path
    return tuple(Records(name, path, filesystem.checksum(path)) for name, path in found.items())


def of_folder(root: str) -> tuple[Folder, ...]:
    """Returns the photos in a folder and below it, found by their names' endings, as units."""
    prefix = f"{root.rstrip('/')}/"
    paths = [path for path in filesystem.walk(root) if path.lower().endswith(IMAGES)]
    names = [path.removeprefix(prefix) for path in paths]
    blocks = [tuple(names[start : start + BLOCK]) for start in range(0, len(names), BLOCK)]
    return tuple(Folder(f"folder-{n:05d}", root, block) for n, block in enumerate(blocks))


def find_records_or_images(place: str, parameters: RecordParameters) -> Photos:
    """Returns the photos in a folder: records of one split, or else image files.

    Raises:
      UserError: the folder has neither.
    """
    for split in schema.STAGED_SPLITS:
        if found := photo_records.list_files(place, split):
            return Photos(of_records(found), parameters)
    if folders := of_folder(place):
        return Photos(folders, parameters)
    raise UserError(f"{place}: found neither staged or sharded photos nor image files there")


def find_photos(options: InferenceOptions, normal: NormalizationConfig) -> Photos:
    """Returns the photos that the flags name.

    Args:
      options: the command's options.
      normal: how photos are normalised.

    Raises:
      UserError: there are none.
    """
    root, split = options.source.source, options.photos.split
    parameters = RecordParameters(normal, options.source.limit, options.fetch.max_bytes)
    if options.photos.images:
        items: tuple[Item, ...] = of_records(photo_records.find(options.photos.images, split))
        found = discover.discover_metadata(root) if root else None
    else:
        found = discover.discover_source(root, [split], options.source.archives)
        items = found.parts
    listing = found.test_csv if found and split == "test" else None
    return Photos(items, parameters, listing)


def normalization_of(export: str) -> NormalizationConfig:
    """Returns how a model's training photos were normalised, so that scoring does the same."""
    path = join(export, STATS)
    if not filesystem.exists(path):
        return NormalizationConfig()
    remedy = "copy it from the dataset that the model was trained on"
    return filesystem.read_record(Stats, path, remedy).photos
