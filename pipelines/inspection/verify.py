"""Verifies a dataset: its files, and with `verify` every byte of its shards. No Beam."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import io
import itertools
import multiprocessing
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from pipelines.common import paths, schema
from pipelines.common.errors import UserError
from pipelines.common.labels import Label
from pipelines.common.paths import join
from pipelines.common.records.stats import STATS, Split, Stats
from pipelines.imaging import normalize
from pipelines.inspection import tfrecord_scan
from pipelines.storage import filesystem, tf_example

NAMED = 10  # faults of each kind that are listed one by one
# Kinds of faults by which an image is not counted.
LOSSES = ("crc", "example", "file", "frame", "label")
INFO = "dataset_info.json"
SHARD = re.compile(rf"{schema.DATASET}-(\w+)\.tfrecord-(\d{{5}})-of-(\d{{5}})\Z")
BESIDE = {"labels.csv", "relabeling.csv", STATS, "README.md", "features.json", INFO,
          "image.class.label.labels.txt"}  # fmt: skip
TYPES = {schema.ENCODED: bytes, schema.IMAGE_ID: bytes, schema.HEIGHT: int, schema.WIDTH: int}
CONSTANTS = {schema.CHANNELS: 3, schema.COLORSPACE: b"RGB", schema.FORMAT: b"JPEG"}

Record = dict[str, tf_example.Value]


@dataclasses.dataclass
class Faults:
    """The faults of a dataset, or of a part of it.

    Attributes:
      counts: number of faults by kind.
      named: a line for each of the first NAMED faults, by kind.
    """

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    named: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def add(self, kind: str, where: str, what: str) -> None:
        """Adds one fault.

        Args:
          kind: in one word, such as crc or label.
          where: the file, and the record in it.
          what: was expected and was found.
        """
        self.counts[kind] += 1
        self._name(kind, [f"{where}: {kind}: {what}"])

    def update(self, other: Faults) -> None:
        """Adds the faults of another part."""
        self.counts.update(other.counts)
        for kind, lines in other.named.items():
            self._name(kind, lines)

    def _name(self, kind: str, lines: list[str]) -> None:
        named = self.named.setdefault(kind, [])
        named += lines[: NAMED - len(named)]


@dataclasses.dataclass
class ShardContents:
    """What was found in one shard. The lists become arrays once the shard is read.

    Attributes:
      name: of the file.
      faults: of the shard.
      records: number of records that were found, damaged ones too.
      size: of the file, bytes.
      ids: [good ids] uint64, those of the records whose id is good.
      numbers: [good ids] int64, the numbers of those records in the shard, from 0.
      labels: [good labels] int64, those of the records whose label is good.
    """

    name: str
    faults: Faults = dataclasses.field(default_factory=Faults)
    records: int = 0
    size: int = 0
    ids: Any = dataclasses.field(default_factory=list)
    numbers: Any = dataclasses.field(default_factory=list)
    labels: Any = dataclasses.field(default_factory=list)


def verify(folder: str, stats: Stats, labels: Sequence[Label], workers: int) -> tuple[Faults, int]:
    """Verifies a version of a dataset by reading every byte of it.

    Args:
      folder: of the version, local or gs://.
      stats: the contents of stats.json.
      labels: the rows of labels.csv.
      workers: number of processes.

    Returns:
      the faults, and the number of records that were found.
    """
    faults = check_files(folder, stats)
    paths = [join(folder, name) for name in shards(folder, stats)]
    landmarks = np.array([label.landmark_id for label in labels], np.int64)
    found = _read_all(paths, landmarks, min(workers, len(paths)))
    reads = list(tqdm(found, "verify", len(paths), unit=" shards", disable=None))
    for read in reads:
        faults.update(read.faults)
    _repeated(reads, faults)
    _classes(labels, reads, faults)
    _sums(folder, stats, {read.name: read for read in reads}, faults)
    return faults, sum(read.records for read in reads)


def _read_all(paths: Sequence[str], landmarks: np.ndarray, workers: int) -> Iterator[ShardContents]:
    tables = itertools.repeat(landmarks)
    if workers <= 1:  # starting another process takes seconds
        yield from map(read_shard, paths, tables)
        return
    # Spawned, as a process with threads cannot be forked safely. An interrupt ends the workers
    # without a traceback.
    context = multiprocessing.get_context("spawn")
    interrupt = (signal.SIGINT, signal.SIG_DFL)
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=signal.signal, initargs=interrupt
    ) as pool:
        yield from pool.map(read_shard, paths, tables)


# ---- the folder -----------------------------------------------------------------------------


def check_files(folder: str, stats: Stats) -> Faults:
    """Finds files of a version that are missing or unexpected, without opening any."""
    faults = Faults()
    names, wanted = _names(folder), set(_wanted(stats.splits))
    for name in sorted(wanted - names):
        faults.add("file", name, "is missing")
    if INFO not in names:
        faults.add("file", INFO, "is missing: an older gld2 made this dataset; TFDS cannot read it")
    for name in sorted(names - wanted - BESIDE):
        what = "is a shard that stats.json does not list" if SHARD.match(name) else "is unexpected"
        faults.add("file", name, what)
    return faults


def shards(folder: str, stats: Stats) -> list[str]:
    """Returns the file names of the dataset's shards that are there."""
    names = _names(folder)
    return [name for name in _wanted(stats.splits) if name in names]


def split_of(name: str) -> str:
    """Returns the split that a shard belongs to, by its file name."""
    match = SHARD.match(name)
    assert match, name
    return match[1]


def _names(folder: str) -> set[str]:
    return {path.rsplit("/", 1)[1] for path in filesystem.match(join(folder, "*"))}


def _wanted(splits: Mapping[str, Split]) -> list[str]:
    return [
        paths.shard(split, number, counts.shards)
        for split, counts in splits.items()
        for number in range(counts.shards)
    ]


# ---- one shard ------------------------------------------------------------------------------


def read_shard(path: str, landmarks: np.ndarray) -> ShardContents:
    """Verifies all records of a shard.

    Args:
      path: of the shard.
      landmarks: [classes] int64, the landmark id of each label.
    """
    read = ShardContents(path.rsplit("/", 1)[1])
    unreadable: tuple[type[Exception], ...] = (UserError, *filesystem.unreadable())
    try:
        read.size = filesystem.size(path)
        with filesystem.open_read(path) as file:
            for frame in tfrecord_scan.scan(file, read.size):
                read.records += 1
                _check_frame(frame, landmarks, read)
    except unreadable as error:
        read.faults.add("file", read.name, f"cannot be read to its end: {error}")
    read.ids = np.array(read.ids, np.uint64)
    read.numbers = np.array(read.numbers, np.int64)
    read.labels = np.array(read.labels, np.int64)
    return read


def _check_frame(frame: tfrecord_scan.Frame, landmarks: np.ndarray, read: ShardContents) -> None:
    where = f"{read.name} record {frame.number}"
    if frame.record is None:
        # "crc": the length is good, so the next frame was found; "frame": it was searched for.
        kind = "crc" if frame.is_bounded else "frame"
        read.faults.add(kind, where, f"{frame.damage} (byte {frame.offset})")
        return
    record = parse_record(frame.record, where, read.faults)
    if record is None:
        return
    image_id = _id(record, where, read.faults)
    if image_id is not None:
        read.ids.append(image_id)
        read.numbers.append(frame.number)
    check_photo(record, where, read.faults)
    label = _label(record, landmarks, split_of(read.name), where, read.faults)
    if label is not None:
        read.labels.append(label)


def parse_record(data: bytes, where: str, faults: Faults) -> Record | None:
    """Parses a record and checks the types of its features.

    Args:
      data: a serialised tf.train.Example.
      where: the file and the record, for faults.
      faults: changed in place.

    Returns:
      the features; None where one that TYPES requires is missing or of another type.
    """
    try:
        record = tf_example.decode(data)
    except Exception as error:  # protobuf raises errors of several types
        faults.add("example", where, f"expected a tf.train.Example, found {error}")
        return None
    wrong = [key for key, kind in TYPES.items() if not isinstance(record.get(key), kind)]
    for key in wrong:
        what = f"{key}: expected {TYPES[key].__name__}, found {_short(record.get(key))}"
        faults.add("example", where, what)
    for key, value in CONSTANTS.items():
        if record.get(key) != value:
            what = f"{key}: expected {value!r}, found {_short(record.get(key))}"
            faults.add("format", where, what)
    return None if wrong else record


def _id(record: Record, where: str, faults: Faults) -> int | None:
    text = record[schema.IMAGE_ID].decode("utf-8", "replace")  # type: ignore[union-attr]
    if not schema.ID.match(text):
        faults.add("id", where, f"expected 16 hex, found {_short(text)}")
        return None
    return int(text, 16)


def check_photo(record: Record, where: str, faults: Faults) -> None:
    """Decodes a record's photo and checks its size.

    Args:
      record: as `parse_record` returns it.
      where: the file and the record, for faults.
      faults: changed in place.
    """
    recorded = (record[schema.WIDTH], record[schema.HEIGHT])
    try:
        image = Image.open(io.BytesIO(record[schema.ENCODED]), formats=("JPEG",))  # type: ignore[arg-type]
        if image.size != recorded:
            what = (
                f"expected {recorded[0]!r} x {recorded[1]!r}, found {image.width} x {image.height}"
            )
            faults.add("size", where, what)
        if image.width * image.height > normalize.ORIGINAL_PIXELS:
            faults.add("photo", where, f"expected at most {normalize.ORIGINAL_PIXELS} pixels")
            return  # before an absurd number of pixels is decoded
        image.load()
    except Exception as error:  # decoders raise errors of many types on garbled files
        detail = normalize.OBJECT_ADDRESS.sub("", str(error))
        faults.add("photo", where, f"expected a whole JPEG, found: {detail}")
        return
    if image.mode != "RGB":
        faults.add("photo", where, f"expected RGB, found {image.mode}")


def _label(
    record: Record, landmarks: np.ndarray, split: str, where: str, faults: Faults
) -> int | None:
    label, landmark = record.get(schema.LABEL), record.get(schema.LANDMARK_ID)
    if split == "test":
        if label is not None or landmark is not None:
            faults.add("label", where, f"expected none on test, found {_short(label)}")
        return None
    if not isinstance(label, int) or not 0 <= label < len(landmarks):
        what = f"expected 0 to {len(landmarks) - 1}, found {_short(label)}"
        faults.add("label", where, what)
        return None
    if landmark != landmarks[label]:
        what = f"expected {landmarks[label]} for label {label}, found {_short(landmark)}"
        faults.add("landmark", where, what)
    return label


def _short(value: object) -> str:
    return "none" if value is None else repr(value)[:60]


# ---- all shards together --------------------------------------------------------------------


def _repeated(reads: Sequence[ShardContents], faults: Faults) -> None:
    """Adds a fault for each record whose id an earlier record has."""
    ids = np.concatenate([np.zeros(0, np.uint64), *(read.ids for read in reads)])
    numbers = np.concatenate([np.zeros(0, np.int64), *(read.numbers for read in reads)])
    shard = np.repeat(np.arange(len(reads)), [len(read.ids) for read in reads])
    order = np.argsort(ids, kind="stable")
    same = ids[order][1:] == ids[order][:-1]
    pairs = np.stack([order[1:][same], order[:-1][same]], axis=1)
    for later, before in pairs[np.argsort(pairs[:, 0])]:
        later_record, first_record = (
            f"{reads[shard[n]].name} record {numbers[n]}" for n in (later, before)
        )
        faults.add("repeated", later_record, f"id {ids[later]:016x} is in {first_record} too")


def _classes(labels: Sequence[Label], reads: Sequence[ShardContents], faults: Faults) -> None:
    """Compares images of each class with labels.csv; images that faults explain may be missing."""
    lossy = any(faults.counts[kind] for kind in LOSSES)
    found = np.zeros(len(labels), np.int64)
    for read in reads:
        found += np.bincount(read.labels, minlength=len(labels))
    for label, images_found in zip(labels, found.tolist(), strict=True):
        if images_found > label.images or (images_found < label.images and not lossy):
            what = f"expected {label.images} images, found {images_found}"
            faults.add("sum", f"labels.csv label {label.label}", what)


def _sums(folder: str, stats: Stats, reads: Mapping[str, ShardContents], faults: Faults) -> None:
    """Compares counts of what was read with those in stats.json and dataset_info.json."""
    recorded = {STATS: stats.splits, INFO: _info(folder, faults)}
    for source, splits in recorded.items():
        for split, counts in splits.items():
            for what, expected, found in _counts(split, counts, stats, reads):
                if expected != found:
                    faults.add("sum", what, f"{source} expected {expected}, found {found}")


def _counts(
    split: str, counts: Split, stats: Stats, reads: Mapping[str, ShardContents]
) -> Iterator[tuple[str, int, int]]:
    """Yields what is counted, the number in a file, and the number that was found."""
    names = _wanted({split: stats.splits[split]}) if split in stats.splits else []
    lengths = counts.shard_lengths
    if lengths is not None:
        yield f"{split} shards", len(lengths), len(names)
        for name, length in zip(names, lengths, strict=False):
            if name in reads:
                yield f"{name} records", length, reads[name].records
    if all(name in reads for name in names):  # a missing shard is a fault already
        mine = [reads[name] for name in names]
        yield f"{split} images", counts.images, sum(read.records for read in mine)
        yield f"{split} bytes", counts.bytes, sum(read.size for read in mine)


def _info(folder: str, faults: Faults) -> dict[str, Split]:
    """Returns the counts in dataset_info.json, in the form of stats.json."""
    path = join(folder, INFO)
    if not filesystem.exists(path):
        return {}  # check_files reports that
    try:
        splits = {}
        for split in filesystem.read_record(dict[str, Any], path)["splits"]:
            lengths = [int(length) for length in split["shardLengths"]]
            size = int(split["numBytes"])
            splits[split["name"]] = Split(sum(lengths), len(lengths), size, lengths)
        return splits
    except (UserError, KeyError, TypeError, ValueError) as error:
        faults.add("file", INFO, f"expected TFDS's splits with shardLengths, found {error!r}")
        return {}
