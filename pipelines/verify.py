"""Everything about a dataset that can be wrong, looked for in every byte. No Beam."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import io
import json
import multiprocessing
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image
from tqdm import tqdm

from pipelines import example, files, layout, schema, tfrecord
from pipelines.schema import Label

NAMED = 5  # faults of a kind in a shard that are told one by one
SHARD = re.compile(rf"{schema.DATASET}-(\w+)\.tfrecord-(\d{{5}})-of-(\d{{5}})\Z")
BESIDE = {"labels.csv", "relabeling.csv", "stats.json", "README.md", "features.json",
          "dataset_info.json", "image.class.label.labels.txt"}  # fmt: skip


@dataclasses.dataclass
class Faults:
    """What is wrong.

    Attributes:
      counts: of each kind.
      named: the first few of each kind of each file, a line each.
    """

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    named: list[str] = dataclasses.field(default_factory=list)

    def add(self, kind: str, where: str, what: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= NAMED:
            self.named.append(f"{where}: {kind}: {what}")

    def update(self, other: Faults) -> None:
        self.counts.update(other.counts)
        self.named += other.named


@dataclasses.dataclass
class Read:
    """What was found in one shard.

    Attributes:
      faults: what is wrong in it.
      records: that could be found.
      ids: [records] uint64, of those whose id is good.
      labels: label -> records.
    """

    faults: Faults
    records: int
    ids: np.ndarray
    labels: collections.Counter[int]


def verify(folder: str, labels: list[Label], workers: int) -> tuple[Faults, int]:
    """Reads a version of a dataset whole.

    Args:
      folder: with the shards, local or gs://.
      labels: as labels.csv has them.
      workers: processes.

    Returns:
      what is wrong, and how many records were read.
    """
    faults = Faults()
    shards = list(_shards(folder, faults))
    landmarks = np.array([label.landmark_id for label in labels], np.int64)
    context = multiprocessing.get_context("spawn")  # whatever threads this process has
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        found = pool.map(_shard, shards, [landmarks] * len(shards))
        reads = list(tqdm(found, "verify", len(shards), unit=" shards", disable=None))
    for read in reads:
        faults.update(read.faults)
    _repeated(reads, faults)
    _classes(labels, reads, faults)
    _sums(folder, dict(zip(shards, reads, strict=True)), faults)
    return faults, sum(read.records for read in reads)


# ---- one shard ------------------------------------------------------------------------------


def _shard(path: str, landmarks: np.ndarray) -> Read:
    read = Read(Faults(), 0, np.zeros(0, np.uint64), collections.Counter())
    name = path.rsplit("/", 1)[1]
    is_test = name.startswith(f"{schema.DATASET}-test.")
    ids = []
    try:
        with files.open_read(path) as file:
            for frame in tfrecord.frames(file):
                where = f"{name} record {read.records}"
                read.records += 1
                record = _record(frame, where, read.faults)
                if record is not None:
                    ids += _id(record, where, read.faults)
                    _photo(record, where, read.faults)
                    _label(record, landmarks, is_test, where, read)
    except tfrecord.Corrupt as error:
        what = f"{error}; what comes after cannot be read"
        read.faults.add("frame", f"{name} record {read.records}", what)
    read.ids = np.array(ids, np.uint64)
    return read


def _record(frame: bytes, where: str, faults: Faults) -> dict[str, example.Value] | None:
    try:
        return example.decode(tfrecord.unframe(frame))
    except tfrecord.Corrupt as error:
        faults.add("crc", where, str(error))
    except Exception as error:  # protobuf's own kinds
        faults.add("example", where, f"expected a tf.train.Example, found {error}")
    return None


def _id(record: dict[str, example.Value], where: str, faults: Faults) -> list[int]:
    found = record.get(schema.IMAGE_ID)
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    if not schema.ID.match(text):
        faults.add("id", where, f"expected 16 hex, found {text[:40]!r}")
        return []
    return [int(text, 16)]


def _photo(record: dict[str, example.Value], where: str, faults: Faults) -> None:
    said = (record.get(schema.WIDTH), record.get(schema.HEIGHT))
    try:
        image = Image.open(io.BytesIO(record[schema.ENCODED]), formats=("JPEG",))  # type: ignore[arg-type]
        if image.size != said:  # before pixels are made of a size that may be absurd
            faults.add("size", where, f"expected {said}, found {image.size}")
            return
        image.load()
    except Exception as error:  # garbled files make decoders raise all sorts
        faults.add("photo", where, f"cannot be decoded: {error!r}"[:120])
        return
    if image.mode != "RGB":
        faults.add("photo", where, f"expected RGB, found {image.mode}")


def _label(
    record: dict[str, example.Value], landmarks: np.ndarray, is_test: bool, where: str, read: Read
) -> None:
    label, landmark = record.get(schema.LABEL), record.get(schema.LANDMARK_ID)
    if is_test:
        if label is not None or landmark is not None:
            read.faults.add("label", where, f"expected none on test, found {label!r}")
    elif not isinstance(label, int) or not 0 <= label < len(landmarks):
        what = f"expected 0 to {len(landmarks) - 1}, found {label!r}"
        read.faults.add("label", where, what)
    elif landmark != landmarks[label]:
        what = f"expected landmark {landmarks[label]} for label {label}, found {landmark!r}"
        read.faults.add("label", where, what)
    else:
        read.labels[label] += 1


# ---- all shards together --------------------------------------------------------------------


def _shards(folder: str, faults: Faults) -> Iterator[str]:
    """The shards that are there; names that should not be, or are not, are faults."""
    names = {path.rsplit("/", 1)[1] for path in files.match(files.join(folder, "*"))}
    matches = [match for name in sorted(names) if (match := SHARD.match(name))]
    for match in matches:
        yield files.join(folder, match[0])
    for split in sorted({match[1] for match in matches}):
        totals = sorted({int(match[3]) for match in matches if match[1] == split})
        if len(totals) > 1:
            faults.add("file", split, f"expected one number of shards, found {totals}")
        for total in totals[:1]:
            for number in range(total):
                name = layout.shard(split, number, total)
                if name not in names:
                    faults.add("file", name, "is missing")
    for name in sorted(names - BESIDE):
        if not SHARD.match(name):
            faults.add("file", name, "is not of a dataset")


def _repeated(reads: list[Read], faults: Faults) -> None:
    ids = np.sort(np.concatenate([np.zeros(0, np.uint64), *(read.ids for read in reads)]))
    for image_id in np.unique(ids[1:][ids[1:] == ids[:-1]]).tolist():
        faults.add("repeated", f"id {image_id:016x}", "is in more than one record")


def _classes(labels: list[Label], reads: list[Read], faults: Faults) -> None:
    found = sum((read.labels for read in reads), collections.Counter[int]())
    for label in labels:
        if found[label.label] != label.images:
            what = f"expected {label.images} images, found {found[label.label]}"
            faults.add("sum", f"labels.csv label {label.label}", what)


def _sums(folder: str, reads: dict[str, Read], faults: Faults) -> None:
    """What was read against what dataset_info.json and stats.json say."""
    said = _said(folder, faults)
    for split, lengths in said.items():
        for number, length in enumerate(lengths):
            path = files.join(folder, layout.shard(split, number, len(lengths)))
            records = reads[path].records if path in reads else 0
            if records != length:
                name = path.rsplit("/", 1)[1]
                faults.add("sum", name, f"expected {length} records, found {records}")


def _said(folder: str, faults: Faults) -> dict[str, list[int]]:
    """split -> records of each shard, by dataset_info.json."""
    path = files.join(folder, "dataset_info.json")
    if not files.exists(path):
        faults.add("file", "dataset_info.json", "is missing")
        return {}
    info = json.loads(files.read(path))
    said = {split["name"]: list(map(int, split["shardLengths"])) for split in info["splits"]}
    for split, counts in files.read_json(files.join(folder, "stats.json"))["splits"].items():
        if sum(said.get(split, [])) != counts["images"]:
            what = f"expected {counts['images']} images of {split}, as in stats.json"
            faults.add("sum", "dataset_info.json", f"{what}, found {sum(said.get(split, []))}")
    return said
