"""A small world, what one process on a disk makes of it, and the engines and places that must make
the same."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterator

import pytest

from tests.conftest import built_once, gld2
from tests.engines import flink, gcs, prism
from tests.engines.engine import Engine
from tests.pipelines.conftest import FLAGS, world  # noqa: F401
from tests.pipelines.score.test_command import Colours

# What no two runs make alike, be it on one engine: TensorFlow numbers a graph's nodes as it likes,
# and inputs.json says where they were.
GRAPHS = ("saved_model.pb", "fingerprint.pb", "inputs.json")
# What says where the source was.
PLACES = ("source", "inputs")
VERSION = "dataset/gld2/1.0.0"
CLUSTERS = {"prism": (prism.lacks, prism.cluster), "flink": (flink.lacks, flink.cluster)}
TWO = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


def results(folder: pathlib.Path) -> dict[str, str]:
    """sha256 of each file that a command left, without what differs by nature."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in GRAPHS:
            data = path.read_bytes()
            if path.name.endswith("done.json"):
                kept = {k: v for k, v in json.loads(data).items() if k not in PLACES}
                data = json.dumps(kept).encode()
            found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


@dataclasses.dataclass
class Place:
    """Where all is read and written.

    Attributes:
      source: the world.
      model: the export that scores.
      root: for what is made.
      folder: a folder on this machine's disk that has what is under root, once it was fetched.
      store: the bucket, where the place is in one.
    """

    source: str
    model: str
    root: str
    folder: pathlib.Path
    store: gcs.Store | None = None

    def fetch(self) -> None:
        """Has it on this machine's disk, undisturbed."""
        if self.store:
            self.store.faults = gcs.Faults()
            self.store.get(self.root.removeprefix(f"{gcs.BUCKET}/"), self.folder)


def words(place: Place, *flags: str) -> dict[str, list[str]]:
    """The flags of each command."""
    source, out = f"--source={place.source}", f"--output={place.root}/out"
    submission = [f"--model={place.model}", f"--output={place.root}/submission.csv"]
    return {
        "prepare": [*FLAGS, *flags, source, out],
        "score": [*flags, source, *submission],
    }


@pytest.fixture(scope="session")
def prepared(
    world: pathlib.Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[pathlib.Path]:
    """A folder with `out`, by one process on a disk."""

    def build(folder: pathlib.Path) -> None:
        gld2("prepare", *FLAGS, source=world, output=folder / "out")

    with built_once(tmp_path_factory, "prepared_on_a_disk", build) as folder:
        yield folder


@pytest.fixture(scope="session")
def export(
    prepared: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pathlib.Path]:
    """A model of its classes."""

    build = functools.partial(Colours.export, prepared / "out" / VERSION)
    with built_once(tmp_path_factory, "colours_on_a_disk", build) as folder:
        yield folder


@pytest.fixture(scope="session")
def expected(
    world: pathlib.Path,  # noqa: F811
    prepared: pathlib.Path,
    export: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    """The digests of what one process makes on a disk."""

    def build(folder: pathlib.Path) -> None:
        gld2("score", source=world, model=export, output=folder / "submission.csv")

    with built_once(tmp_path_factory, "scored_on_a_disk", build) as folder:
        yield results(prepared) | results(folder)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gcs.Store]:
    with gcs.store(tmp_path_factory.mktemp("store")) as found:
        yield found


@pytest.fixture
def in_reach(store: gcs.Store, monkeypatch: pytest.MonkeyPatch) -> gcs.Store:
    """The bucket, for this process and those that it starts."""
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)
    store.faults = gcs.Faults()
    return store


@pytest.fixture(scope="session")
def engine(
    request: pytest.FixtureRequest, store: gcs.Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """One of the engines by its name: one, two, prism, flink."""
    name = request.param
    with contextlib.ExitStack() as stack:
        if name in CLUSTERS:
            lacks, cluster = CLUSTERS[name]
            if reason := lacks():
                pytest.skip(reason)
            folder = tmp_path_factory.mktemp(name)
            yield stack.enter_context(cluster(folder, store.env))
        else:
            yield Engine(TWO if name == "two" else ())


@pytest.fixture
def disk(world: pathlib.Path, export: pathlib.Path, tmp_path: pathlib.Path) -> Place:  # noqa: F811
    folder = tmp_path / "disk"
    folder.mkdir()
    return Place(str(world), str(export), str(folder), folder)


@pytest.fixture
def bucket(
    world: pathlib.Path,  # noqa: F811
    export: pathlib.Path,
    in_reach: gcs.Store,
    tmp_path: pathlib.Path,
) -> Place:
    """A bucket that is busy: some requests are refused, some answers break off, one is slow."""
    source, model = in_reach.put(world, "world"), in_reach.put(export, "export")
    in_reach.faults = gcs.Faults(unavailable_every=50, cut_every=10, slow="train/images_001.tar")
    return Place(source, model, f"{gcs.BUCKET}/{tmp_path.name}", tmp_path / "gs", in_reach)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)
