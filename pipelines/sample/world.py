"""Plans a small generated Google Landmarks Dataset v2, with its defects, without drawing it.

The plan depends on the world's seed alone; the writer draws each photo from its part of the plan.
"""

import dataclasses
import hashlib
import itertools
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipelines.sample import structures
from pipelines.sample.config import BROKEN, CONFLICTS, COPIES, FEWEST, LEAKS, ODD, RARE, World

LANDMARK_IDS = 203_094  # train's landmark ids are less than this
TAIL = 8  # ratio of the images of the largest class to those of the smallest
UNSEEN = 6  # landmarks that are seen only on test's non-landmark photos
CLEAN_SHARE = 0.75  # fraction of a landmark's images on the clean list
NON_LANDMARK_SHARE = 0.25  # fraction of the test images without a landmark
SEVERAL = 3  # number of test images that show two landmarks
USAGES = ("Public", "Private", "Private") * 6 + ("Ignored",)  # of the test images, in turn
PLACES = ("Alvéna", "Köstrava", "São Belmiro", "Łodryn", "Merrow & Sons", "Đorani", "Østervik",
          "Tansaoru", "Bryn-y-Môr", "Val d'Ysère", "Kahala", "Szentgálfalva", "Port Annick",
          "Ümraka", "Novi Prelog", "Wendlemere", "Ashgrove", "Çamdere", "Tirsa", "Quillar",
          "Mount Haverley", "Santa Ignês", "Rautaniemi", "Old Pemberly")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Landmark:
    """A landmark: its id in train, its name, and the kind and seed of its structure."""

    id: int
    name: str
    kind: str
    seed: int


@dataclasses.dataclass(frozen=True)
class PlannedPhoto:
    """A planned image: all that its bytes depend on.

    Attributes:
      id: 16 hex digits.
      split: train, test or index.
      number: its index among the split's photos, in the order of planning.
      landmarks: its labels.
      shows: the landmarks to draw; none gives a landscape.
      form: jpeg, abstract, one of COPIES (then `source` is set), BROKEN or ODD.
      size: width and height in pixels.
      quality: of the JPEG.
      seed: of viewpoint, light and weather.
      source: the photo that this one is a copy of, or None.
    """

    id: str
    split: str
    number: int
    landmarks: tuple[Landmark, ...]
    shows: tuple[Landmark, ...]
    form: str
    size: tuple[int, int]
    quality: int
    seed: int
    source: "PlannedPhoto | None" = None

    @property
    def source_id(self) -> str:
        """Returns the id of the photo that this one copies, or an empty string."""
        return self.source.id if self.source else ""


@dataclasses.dataclass(frozen=True)
class Summary:
    """The planted cases of a world, by the ids of images and landmarks.

    Attributes:
      images: split -> number of members of its tars.
      landmarks: landmark_id -> number of rows of train.csv, for landmarks above the threshold.
      rare_landmarks: landmark_id -> number of rows of train.csv, for landmarks below it.
      clean_ids: ids on the clean list whose image exists.
      missing_clean_ids: ids on the clean list without an image.
      byte_duplicates: (original, copy) under the same landmark.
      near_duplicates: (original, copy, "reencoded" or "resized") under the same landmark.
      conflicts: pairs of ids with the same bytes under two landmarks; of the first pair the first
        id is on the clean list, of the second pair neither.
      leaks: (train id, test id, "copy" or "reencoded").
      train_faults, test_faults: one of BROKEN or ODD -> ids.
      non_landmarks, several_landmarks, ignored: ids of test images.
    """

    images: Mapping[str, int]
    landmarks: Mapping[int, int]
    rare_landmarks: Mapping[int, int]
    clean_ids: tuple[str, ...]
    missing_clean_ids: tuple[str, ...]
    byte_duplicates: tuple[tuple[str, str], ...]
    near_duplicates: tuple[tuple[str, str, str], ...]
    conflicts: tuple[tuple[str, str], ...]
    leaks: tuple[tuple[str, str, str], ...]
    train_faults: Mapping[str, tuple[str, ...]]
    test_faults: Mapping[str, tuple[str, ...]]
    non_landmarks: tuple[str, ...]
    several_landmarks: tuple[str, ...]
    ignored: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Returns the number of cases of each kind, in the order to print them."""
        found: dict[str, int] = {}
        for name, value in vars(self).items():
            if name == "images":
                found |= {f"{split}_images": n for split, n in value.items()}
            elif name.endswith("_faults"):
                split = name.partition("_")[0]
                found |= {f"{split}_{fault}": len(ids) for fault, ids in value.items()}
            else:
                found[name] = len(value)
        return found


@dataclasses.dataclass(frozen=True)
class WorldPlan:
    """All photos of a world and its metadata.

    Attributes:
      photos: split -> its photos.
      usage: id of a test photo -> its Usage in the solution.
      clean: landmark_id -> ids on the clean list.
      summary: the planted cases.
    """

    photos: Mapping[str, Sequence[PlannedPhoto]]
    usage: Mapping[str, str]
    clean: Mapping[int, Sequence[str]]
    summary: Summary


# ---- the plan


def _hash(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8])


def _landmarks(world: World) -> tuple[list[Landmark], list[Landmark], list[Landmark]]:
    """Returns the landmarks above the threshold, those below it, and those without a label."""
    count = world.landmarks + len(RARE) + UNSEEN
    rng = random.Random(_hash(world.seed, "landmarks"))
    ids = rng.sample(range(LANDMARK_IDS), count)
    kinds = rng.sample(sorted(structures.KINDS), len(structures.KINDS))
    places = itertools.cycle(rng.sample(PLACES, len(PLACES)))
    every = [
        Landmark(landmark_id, f"{place} {kind}", kind, _hash(world.seed, "structure", landmark_id))
        for landmark_id, place, kind in zip(ids, places, itertools.cycle(kinds), strict=False)
    ]
    kept, rare = world.landmarks, world.landmarks + len(RARE)
    return every[:kept], every[kept:rare], every[rare:]


class _PhotoPlanner:
    """Plans the photos of one split, each with an id, a size and a seed of its own."""

    def __init__(self, world: World, split: str) -> None:
        self.world, self.split, self.made = world, split, list[PlannedPhoto]()

    def __call__(
        self,
        landmarks: Sequence[Landmark] = (),
        form: str = "jpeg",
        shows: Sequence[Landmark] | None = None,
        source: PlannedPhoto | None = None,
    ) -> PlannedPhoto:
        number = len(self.made)
        seed = _hash(self.world.seed, self.split, number)
        rng = random.Random(seed)
        long = rng.randint(*self.world.sides)
        short = round(long * rng.choice([0.66, 0.75, 0.75]))
        photo = PlannedPhoto(
            id=f"{_hash(seed, 'id'):016x}",
            split=self.split,
            number=number,
            landmarks=tuple(landmarks),
            shows=tuple(landmarks if shows is None else shows),
            form=form,
            size=(long, short) if rng.random() < 0.7 else (short, long),
            quality=rng.randint(80, 95),
            seed=seed,
            source=source,
        )
        self.made.append(photo)
        return photo

    def copies(self, sources: Iterable[PlannedPhoto], form: str) -> list[PlannedPhoto]:
        """Plans copies of photos, under the same landmarks."""
        return [self(source.landmarks, form, source=source) for source in sources]


def _class_sizes(world: World) -> list[int]:
    """Returns the number of images of each frequent landmark, in geometric decline."""
    weights = [TAIL ** (-i / (world.landmarks - 1)) for i in range(world.landmarks)]
    scale = (world.train_images - world.extra) / sum(weights)
    return [max(FEWEST, round(scale * weight)) for weight in weights]


def _plan_test(world: World, kept: list[Landmark], unseen: list[Landmark]) -> list[PlannedPhoto]:
    make, others = _PhotoPlanner(world, "test"), round(NON_LANDMARK_SHARE * world.test_images)
    make([kept[0]], "corrupt")
    make([kept[1]], "exif")
    for i in range(SEVERAL):
        make([kept[i], kept[i - 1]])
    plain = world.test_images - others - len(make.made)
    for landmark in itertools.islice(itertools.cycle(kept), plain):
        make([landmark])
    for i in range(others):  # of four, two are landscapes
        strange = [unseen[i % UNSEEN]] if i % 4 == 1 else []
        make(form="abstract" if i % 4 == 3 else "jpeg", shows=strange)
    return make.made


@dataclasses.dataclass
class _Train:
    """Train's photos, and lists of the copies and conflicts among them."""

    photos: list[PlannedPhoto]
    duplicates: list[PlannedPhoto]
    near: list[PlannedPhoto]
    conflicts: list[tuple[PlannedPhoto, PlannedPhoto]]
    leaks: list[PlannedPhoto]


def _plan_train(
    world: World, kept: list[Landmark], rare: list[Landmark], test: list[PlannedPhoto]
) -> _Train:
    make, rng = _PhotoPlanner(world, "train"), random.Random(_hash(world.seed, "train"))
    for landmark, size in zip([*kept, *rare], [*_class_sizes(world), *RARE], strict=True):
        for _ in range(size):
            make([landmark])
    large = kept[: len(kept) // 2]  # no defects in small classes: they must stay learnable
    pool = [photo for photo in make.made if photo.landmarks[0] in large]
    sources = iter(rng.sample(pool, len(pool)))
    duplicates, reencoded, resized = (
        make.copies(itertools.islice(sources, world.defects), form) for form in COPIES
    )
    conflicts = []
    for photo in itertools.islice(sources, CONFLICTS):
        other = rng.choice([x for x in large if x not in photo.landmarks])
        conflicts.append((photo, make([other], "copy", source=photo)))
    exposed = rng.sample(
        [x for x in test if x.form == "jpeg" and len(x.landmarks) == 1], len(LEAKS)
    )
    leaks = [
        make(photo.landmarks, form, source=photo)
        for photo, form in zip(exposed, LEAKS, strict=True)
    ]
    for form in (BROKEN + ODD) * world.defects:
        make([rng.choice(large)], form)
    return _Train(make.made, duplicates, reencoded + resized, conflicts, leaks)


def _plan_clean(
    world: World, kept: list[Landmark], train: _Train
) -> tuple[dict[int, list[str]], list[str]]:
    """Returns the clean list, landmark_id -> ids, and its ids without an image."""
    rng = random.Random(_hash(world.seed, "clean"))
    contested = {photo.id for pair in train.conflicts for photo in pair}
    clean = {}
    for landmark in kept:
        able = [
            x.id
            for x in train.photos
            if x.landmarks == (landmark,) and x.form not in BROKEN and x.id not in contested
        ]
        clean[landmark.id] = rng.sample(able, math.ceil(CLEAN_SHARE * len(able)))
    trusted = train.conflicts[0][0]
    clean[trusted.landmarks[0].id].append(trusted.id)
    missing = [f"{_hash(world.seed, 'missing', i):016x}" for i in range(world.defects)]
    for image, landmark in zip(missing, itertools.cycle(kept), strict=False):
        clean[landmark.id].append(image)
    return clean, missing


def _faults(photos: Sequence[PlannedPhoto]) -> dict[str, tuple[str, ...]]:
    found = {form: tuple(x.id for x in photos if x.form == form) for form in BROKEN + ODD}
    return {form: ids for form, ids in found.items() if ids}


def plan_world(world: World) -> WorldPlan:
    """Returns the plan of a world; draws and writes nothing."""
    kept, rare, unseen = _landmarks(world)
    test, index = _plan_test(world, kept, unseen), _PhotoPlanner(world, "index")
    for landmark in itertools.islice(itertools.cycle(kept), world.index_images):
        index([landmark])
    train = _plan_train(world, kept, rare, test)
    clean, missing = _plan_clean(world, kept, train)
    usage = {x.id: USAGES[i % len(USAGES)] for i, x in enumerate(test)}
    photos = {"train": train.photos, "test": test, "index": index.made}
    rows = Counter(photo.landmarks[0].id for photo in train.photos)
    summary = Summary(
        images={split: len(made) for split, made in photos.items()},
        landmarks={x.id: rows[x.id] for x in kept},
        rare_landmarks={x.id: rows[x.id] for x in rare},
        clean_ids=tuple(sorted(set(itertools.chain(*clean.values())) - set(missing))),
        missing_clean_ids=tuple(missing),
        byte_duplicates=tuple((x.source_id, x.id) for x in train.duplicates),
        near_duplicates=tuple((x.source_id, x.id, x.form) for x in train.near),
        conflicts=tuple((first.id, second.id) for first, second in train.conflicts),
        leaks=tuple((x.id, x.source_id, x.form) for x in train.leaks),
        train_faults=_faults(train.photos),
        test_faults=_faults(test),
        non_landmarks=tuple(x.id for x in test if not x.landmarks),
        several_landmarks=tuple(x.id for x in test if len(x.landmarks) > 1),
        ignored=tuple(image for image, use in usage.items() if use == "Ignored"),
    )
    return WorldPlan(photos, usage, clean, summary)
