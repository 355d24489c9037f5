"""Both services: their flags, and runs against servers that stand in for them."""

from __future__ import annotations

import contextlib
import dataclasses
import types
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.cloud import aiplatform_v1, storage, tpu_v2
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport
from google.cloud.tpu_v2.services.tpu.transports import TpuGrpcTransport

from tests.pipelines.conftest import bucket  # noqa: F401  # a fixture
from tests.trainer.submit import gcp
from trainer.submit import follow, tpu_vm, vertex
from trainer.submit.command import prepare
from trainer.submit.options import SubmitOptions, parse

TPU = (
    *("tpu", "--project", "project-1", "--zone", "europe-west4-a", "--name", "run-1"),
    *("--accelerator", "v3-8", "--package", "gs://bucket/gld2.whl"),
    *("--staging", "gs://bucket/staging"),
)
VERTEX = (
    *("vertex", "--project", "project-1", "--region", "europe-west4", "--name", "run-1"),
    *("--image", "eu.pkg.example/gld2", "--staging", "gs://bucket/staging/"),
    *("--machine_type", "cloud-tpu", "--accelerator", "TPU_V3"),
)
TRAIN = ("--data", "gs://bucket/dataset", "--job_dir", "gs://bucket/it's $(a) job")


@dataclasses.dataclass(frozen=True)
class Service:
    """One of the services of Google Cloud.

    Attributes:
      target: the module for it.
      words: flags that make a request.
      connect: the run of options and a request over a channel.
    """

    target: types.ModuleType
    words: tuple[str, ...]
    connect: Callable[[SubmitOptions, object, grpc.Channel], follow.CloudRun]

    def checked(self, *more: str) -> SubmitOptions:
        return prepare(*parse([*self.words, *more, "--", *TRAIN]), self.target)

    def request(self, *more: str):
        return self.target.request(self.checked(*more))

    @contextlib.contextmanager
    def run(self, server: gcp.Server, *more: str) -> Iterator[follow.CloudRun]:
        with gcp.channel(server) as channel:
            yield self.connect(self.checked(*more), self.request(*more), channel)

    def start(self, server: gcp.Server, *more: str) -> None:
        """What the command does without --wait."""
        with self.run(server, *more) as going:
            follow.start(going)

    def follow(self, server: gcp.Server, *more: str, attempts: int = 5) -> int:
        """What the command does with --wait."""
        with self.run(server, *more) as going:
            follow.start(going)
            return follow.follow(going, attempts, poll_seconds=0.01)


@pytest.fixture
def files(bucket: str) -> storage.Client:  # noqa: F811
    """A client of gs://bucket, which is empty."""
    client = storage.Client(project="project")
    for blob in list(client.list_blobs("bucket")):
        blob.delete()
    return client


@pytest.fixture
def tpu_service(files: storage.Client, tmp_path) -> Service:
    package = tmp_path / "gld2-0.1.0-py3-none-any.whl"
    package.write_bytes(b"a wheel")

    def connect(options, wanted, channel):
        client = tpu_v2.TpuClient(transport=TpuGrpcTransport(channel=channel))
        return tpu_vm.TpuRun(options, wanted, client, files)

    words = (*TPU, "--package", str(package))
    return Service(tpu_vm, words, connect)


@pytest.fixture
def vertex_service() -> Service:
    def connect(options, wanted, channel):
        transport = JobServiceGrpcTransport(channel=channel)
        return vertex.VertexRun(
            options, wanted, aiplatform_v1.JobServiceClient(transport=transport)
        )

    return Service(vertex, VERTEX, connect)
