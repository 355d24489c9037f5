"""A tiny sample world, served over HTTP and prepared once for all tests that look at it."""

from __future__ import annotations

import json
import pathlib
import tarfile
from collections.abc import Iterator

import pandas as pd
import pytest

from pipelines import prepare
from pipelines.sample import http_server, writer
from pipelines.sample.config import World
from pipelines.sample.world import Summary, plan_world
from pipelines.storage import tf_example, tfrecord
from tests.conftest import built_once
from tests.engines.services import free_port

TINY = World(landmarks=12, train_images=150, test_images=40, defects=2, sides=(96, 128), seed=3)
FLAGS = ["--image_size=64", "--shard_size_mb=1"]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    build = lambda folder: writer.write_world(folder, TINY)  # noqa: E731
    with built_once(tmp_path_factory, "world", build) as folder:
        yield folder


@pytest.fixture(scope="session")
def summary() -> Summary:
    return plan_world(TINY).summary


@pytest.fixture(scope="session")
def url(world: pathlib.Path) -> Iterator[str]:
    with http_server.serve(world) as address:
        yield address


@pytest.fixture(scope="session")
def prepared(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    def build(folder: pathlib.Path) -> None:
        prepare.main([f"--source={url}", f"--output={folder}", *FLAGS])

    with built_once(tmp_path_factory, "prepared", build) as folder:
        yield folder


@pytest.fixture(scope="session")
def keras_export(
    prepared: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pathlib.Path]:
    """A model that Keras reads."""
    from tests.pipelines.exports import make_export  # which imports Keras

    build = lambda folder: make_export(prepared, folder)  # noqa: E731
    with built_once(tmp_path_factory, "keras_export", build) as folder:
        yield folder


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """gs://bucket, in a server on this machine that speaks Cloud Storage's protocol."""
    from apache_beam.internal.gcp import auth
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        # It looks for none, a minute long; Beam has no public way to say that there are none.
        patch.setattr(auth._Credentials, "_credentials_init", True)  # noqa: SLF001
        server.start()
        yield "gs://bucket"
        server.stop()


def read_tables(folder: pathlib.Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])


def read_rejects(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_tars(root: pathlib.Path, split: str) -> dict[str, bytes]:
    """The photos of a split by their ids."""
    found = {}
    for path in sorted((root / split).glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                image = pathlib.Path(member.name).stem
                assert member.name == f"{image[0]}/{image[1]}/{image[2]}/{image}.jpg"
                found[image] = tar.extractfile(member).read()  # type: ignore[union-attr]
    return found


def read_shards(folder: pathlib.Path, split: str) -> list[dict]:
    found = []
    for path in sorted(folder.glob(f"gld2-{split}.tfrecord-*")):
        with path.open("rb") as file:
            found += [tf_example.decode(record) for record in tfrecord.read(file)]
    return found


def kaggle_layout(world: pathlib.Path, root: pathlib.Path) -> None:
    """The same photos as Kaggle has them: loose files, train.csv, sample_submission.csv."""
    for split in ("train", "test"):
        for path in sorted((world / split).glob("*.tar")):
            with tarfile.open(path) as tar:
                tar.extractall(root / split, filter="data")
    train = pd.read_csv(world / "metadata" / "train.csv", dtype=str)
    train[["id", "landmark_id"]].to_csv(root / "train.csv", index=False)
    test = pd.read_csv(world / "metadata" / "test.csv", dtype=str)
    test.assign(landmarks="1 0.1").to_csv(root / "sample_submission.csv", index=False)
