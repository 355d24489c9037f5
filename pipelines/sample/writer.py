"""Draws and writes a generated Google Landmarks Dataset v2, in the published layout.

The contents come from the plan. The bytes do not depend on the number of processes that draw.
"""

import concurrent.futures
import contextlib
import csv
import hashlib
import io
import multiprocessing
import os
import pathlib
import random
import tarfile
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from PIL import ExifTags, Image
from tqdm import tqdm

from pipelines.sample import scenery, structures
from pipelines.sample.config import BROKEN, ODD, World
from pipelines.sample.world import Landmark, PlannedPhoto, Summary, WorldPlan, plan_world

COPY_SCALE, COPY_QUALITY = 0.6, 70  # of resized and re-encoded copies
JFIF_HEADER = 20  # bytes
ROTATE_CLOCKWISE = 6  # the EXIF orientation of photos to be rotated by 90 degrees for viewing
NOT_FOUND_PAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"


# ---- the pixels


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _copied(content: bytes, form: str) -> bytes:
    if form == "copy":
        return content
    image: Image.Image = Image.open(io.BytesIO(content))
    if form == "resized":
        size = round(image.width * COPY_SCALE), round(image.height * COPY_SCALE)
        image = image.resize(size, Image.Resampling.LANCZOS)
    return _encoded(image, "JPEG", quality=COPY_QUALITY)


def _broken(content: bytes, form: str, seed: int) -> bytes:
    match form:
        case "corrupt":  # the header of a JPEG, then random bytes
            noise = random.Random(seed).randbytes(len(content) - JFIF_HEADER)
            return content[:JFIF_HEADER] + noise
        case "truncated":
            return content[: len(content) // 2]
        case "not_image":
            return NOT_FOUND_PAGE
    return b""


def _odd(image: Image.Image, form: str, number: int) -> bytes:
    match form:
        case "palette":
            return _encoded(image.quantize(64), "GIF" if number % 2 else "PNG")
        case "cmyk":
            return _encoded(image.convert("CMYK"), "JPEG")
        case "rgba":
            image.putalpha(Image.linear_gradient("L").resize(image.size))
            return _encoded(image, "PNG")
    exif = Image.Exif()  # stored sideways, with the orientation that turns it upright
    exif[ExifTags.Base.Orientation] = ROTATE_CLOCKWISE
    return _encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)


def render(photo: PlannedPhoto) -> bytes:
    """Returns the bytes of an image file, with the planned defects."""
    if photo.source:
        return _copied(render(photo.source), photo.form)
    if photo.form == "abstract":
        image = scenery.draw_abstract(photo.seed, photo.size)
    else:
        places = [structures.build_structure(place.seed, place.kind) for place in photo.shows]
        image = scenery.photograph(photo.seed, photo.size, places)
    if photo.form in ODD:
        return _odd(image, photo.form, photo.number)
    content = _encoded(image, "JPEG", quality=photo.quality)
    return _broken(content, photo.form, photo.seed) if photo.form in BROKEN else content


# ---- the files


@contextlib.contextmanager
def _drawing(workers: int) -> Iterator[Callable[[Iterable[PlannedPhoto]], Iterable[bytes]]]:
    """Yields a function that renders photos in order, on `workers` processes."""
    if workers == 1:
        yield lambda photos: map(render, photos)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the locks of other threads
    with concurrent.futures.ProcessPoolExecutor(workers, spawn) as pool:
        yield lambda photos: pool.map(render, photos, chunksize=8)


def _write_tar(
    path: pathlib.Path, photos: Sequence[PlannedPhoto], contents: Iterator[bytes]
) -> None:
    """Writes a tar of photos; takes one of `contents` for each."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for photo in photos:
            content = next(contents)
            member = tarfile.TarInfo("/".join([*photo.id[:3], f"{photo.id}.jpg"]))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _write_images(root: pathlib.Path, world: World, planned: WorldPlan, workers: int) -> None:
    counts = {"train": world.train_archives, "test": world.test_archives, "index": 1}
    archives = [
        (split, f"images_{k:03d}", _by_id(planned.photos[split])[k::count])
        for split, count in counts.items()
        for k in range(count)
    ]
    every = [photo for _, _, photos in archives for photo in photos]
    with _drawing(workers) as draw:
        contents = iter(tqdm(draw(every), total=len(every), unit="image", disable=None))
        for split, name, photos in archives:
            tar, sums = root / split / f"{name}.tar", root / "md5sum" / split
            tar.parent.mkdir(parents=True, exist_ok=True)
            sums.mkdir(parents=True, exist_ok=True)
            _write_tar(tar, photos, contents)
            digest = hashlib.md5(tar.read_bytes()).hexdigest()
            (sums / f"md5.{name}.txt").write_text(f"{digest}  {tar.name}\n")


def _by_id(photos: Iterable[PlannedPhoto]) -> list[PlannedPhoto]:
    return sorted(photos, key=lambda photo: photo.id)


def _write_csv(path: pathlib.Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def _title(landmark: Landmark, suffix: str = "") -> str:
    return urllib.parse.quote((landmark.name + suffix).replace(" ", "_"))


def _url(photo: PlannedPhoto) -> str:
    """Returns a URL as Wikimedia has them: http or https, percent-encoded, some of them twice."""
    title = _title(photo.landmarks[0], f"_{photo.number}.jpg")
    if photo.number % 10 == 0:
        title = urllib.parse.quote(title)
    scheme = "http" if photo.number % 3 == 0 else "https"
    folder = f"{photo.id[0]}/{photo.id[:2]}"
    return f"{scheme}://upload.wikimedia.org/wikipedia/commons/{folder}/{title}"


def _attribution(photo: PlannedPhoto) -> tuple[str, ...]:
    name, version = photo.landmarks[0].name, ("2.0", "3.0", "4.0")[photo.number % 3]
    author = ("Jo Example", 'Ada "Lens" Example, Esq.', "R. Example\nand friends")[photo.number % 3]
    title = f"{name}, seen from afar" if photo.number % 2 else f"{name}\n(no. {photo.number})"
    licence = f"https://creativecommons.org/licenses/by/{version}/"
    return photo.id, _url(photo), author, licence, title


def _write_labels(folder: pathlib.Path, split: str, places: Mapping[Landmark, int]) -> None:
    wiki = "http://commons.wikimedia.org/wiki/Category:"
    labels = [(number, wiki + _title(place), place) for place, number in places.items()]
    _write_csv(
        folder / f"{split}_label_to_category.csv",
        "landmark_id,category",
        [(number, category) for number, category, _ in labels],
    )
    _write_csv(
        folder / f"{split}_label_to_hierarchical.csv",
        "landmark_id,category,supercategory,hierarchical_label,natural_or_human_made",
        [(number, page, x.kind, x.kind.lower(), "human-made") for number, page, x in labels],
    )


def _write_metadata(root: pathlib.Path, planned: WorldPlan) -> None:
    folder = root / "metadata"
    train, test, index = (_by_id(planned.photos[split]) for split in ("train", "test", "index"))
    listed = [(x.id, _url(x), x.landmarks[0].id) for x in train]
    clean = [(landmark, " ".join(ids)) for landmark, ids in sorted(planned.clean.items())]
    _write_csv(folder / "train.csv", "id,url,landmark_id", listed)
    _write_csv(folder / "train_clean.csv", "landmark_id,images", clean)
    credits = map(_attribution, train)
    _write_csv(folder / "train_attribution.csv", "id,url,author,license,title", credits)
    _write_labels(folder, "train", {x.landmarks[0]: x.landmarks[0].id for x in train})
    _write_csv(folder / "test.csv", "id", [(x.id,) for x in test])
    # index has its own numbers of landmarks, unrelated to train's ids
    places = {place: i for i, place in enumerate(dict.fromkeys(x.landmarks[0] for x in index))}
    shown = [(x.id, places[x.landmarks[0]]) for x in index]
    _write_csv(folder / "index.csv", "id", [(x.id,) for x in index])
    _write_csv(folder / "index_image_to_landmark.csv", "id,landmark_id", shown)
    _write_labels(folder, "index", places)


def _write_solution(root: pathlib.Path, planned: WorldPlan) -> None:
    rows = [
        (x.id, " ".join(str(landmark.id) for landmark in x.landmarks), planned.usage[x.id])
        for x in _by_id(planned.photos["test"])
    ]
    path = root / "ground_truth" / "recognition_solution_v2.1.csv"
    _write_csv(path, "id,landmarks,Usage", rows)


DEFAULT = World()


def write_world(root: str | os.PathLike[str], world: World = DEFAULT, workers: int = 1) -> Summary:
    """Writes a generated dataset in the published layout.

    Args:
      root: a local folder, created if absent; files of an earlier world are overwritten.
      world: what to generate.
      workers: processes that draw photos; the files do not depend on it.

    Returns:
      The planted cases, by id.
    """
    folder, planned = pathlib.Path(root), plan_world(world)
    _write_images(folder, world, planned, workers)
    _write_metadata(folder, planned)
    _write_solution(folder, planned)
    return planned.summary
