"""Vertex AI custom jobs: the request field by field, and the real client against a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1 import AcceleratorType, Scheduling
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport

from pipelines.common.errors import UserError
from tests.trainer.submit import gcp
from trainer.submit import follow, vertex
from trainer.submit.command import prepare
from trainer.submit.options import VertexOptions, parse

TRAIN = ["--data", "gs://bucket/dataset", "--job_dir", "gs://bucket/it's $(a) job"]
TPU = ["--machine_type", "cloud-tpu", "--accelerator", "TPU_V3"]
PLACE = "projects/project-1/locations/europe-west4"


def checked(*more: str) -> VertexOptions:
    words = [
        *("vertex", "--project", "project-1", "--region", "europe-west4", "--name", "run-1"),
        *("--image", "eu.pkg.example/gld2", "--staging", "gs://bucket/staging/"),
        *(*more, "--", *TRAIN),
    ]
    return prepare(*parse(words), vertex)


def request(*more: str) -> aiplatform_v1.CreateCustomJobRequest:
    return vertex.request(checked(*more))


@contextlib.contextmanager
def run(server: gcp.Jobs, *more: str) -> Iterator[vertex.VertexRun]:
    args = checked(*more)
    with gcp.channel(server) as channel:
        client = aiplatform_v1.JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))
        yield vertex.VertexRun(args, vertex.request(args), client)


def test_a_request_field_by_field():
    wanted = request(
        *TPU,
        *("--spot", "--timeout_hours", "12", "--service_account", "a@b.example"),
        *("--restart_on_restart", "--network", "projects/1/global/networks/net"),
    )
    assert wanted.parent == PLACE
    assert wanted.custom_job.display_name == "run-1"
    spec = wanted.custom_job.job_spec
    [pool] = spec.worker_pool_specs
    assert pool.replica_count == 1
    assert pool.container_spec.image_uri == "eu.pkg.example/gld2"
    assert list(pool.container_spec.command) == ["gld2"]
    assert list(pool.container_spec.args) == ["train", "--device", "tpu", *TRAIN]
    assert pool.machine_spec.machine_type == "cloud-tpu"
    assert pool.machine_spec.accelerator_type == AcceleratorType.TPU_V3
    assert pool.machine_spec.accelerator_count == 8
    assert spec.scheduling.strategy == Scheduling.Strategy.SPOT
    assert spec.scheduling.timeout.total_seconds() == 12 * 3600
    assert spec.scheduling.restart_job_on_worker_restart
    assert spec.service_account == "a@b.example"
    assert spec.network == "projects/1/global/networks/net"
    assert spec.base_output_directory.output_uri_prefix == "gs://bucket/staging/run-1"


def test_what_is_not_asked_for_is_not_in_it():
    spec = request("--machine_type", "n1-standard-8").custom_job.job_spec
    assert spec.scheduling == Scheduling()
    [pool] = spec.worker_pool_specs
    assert pool.machine_spec == aiplatform_v1.MachineSpec(machine_type="n1-standard-8")
    assert list(pool.container_spec.args)[:3] == ["train", "--device", "auto"]


def test_flex_start():
    scheduling = request(
        *("--machine_type", "a2-highgpu-1g", "--accelerator", "NVIDIA_TESLA_A100"),
        *("--flex_start", "--max_wait_hours", "6"),
    ).custom_job.job_spec.scheduling
    assert scheduling.strategy == Scheduling.Strategy.FLEX_START
    assert scheduling.max_wait_duration.total_seconds() == 6 * 3600


def test_a_tpu_that_comes_with_its_machine():
    wanted = request("--machine_type", "ct5lp-hightpu-4t", "--tpu_topology", "2x2")
    [pool] = wanted.custom_job.job_spec.worker_pool_specs
    assert pool.machine_spec == aiplatform_v1.MachineSpec(
        machine_type="ct5lp-hightpu-4t", tpu_topology="2x2"
    )
    assert list(pool.container_spec.args)[2] == "tpu"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([*TPU, "--region", "europe"], "--region"),
        (["--machine_type", "m", "--accelerator", "TPU_V9"], "expected one of .*TPU_V3"),
        ([*TPU, "--accelerator_count", "0"], "--accelerator_count"),
        ([*TPU, "--spot", "--flex_start"], "--flex_start"),
        ([*TPU, "--max_wait_hours", "2"], "--flex_start"),
        ([*TPU, "--timeout_hours", "-1"], "--timeout_hours"),
    ],
)
def test_a_mistake_is_named(flags: list[str], expected: str):
    with pytest.raises(UserError, match=expected):
        request(*flags)


def test_it_is_sent_after_faults_and_followed(capsys):
    server = gcp.Jobs(["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"], faults=2)
    with run(server, *TPU) as going:
        follow.start(going)
        assert follow.follow(going, attempts=1, poll_seconds=0.01) == 0
    assert server.sent("CreateCustomJob") == [request(*TPU)]
    printed = capsys.readouterr()
    assert printed.err.count("the service is away") == 2
    for text in (
        f"submitted: {PLACE}/customJobs/1",
        "https://console.cloud.google.com/vertex-ai/locations/europe-west4/training/1?project=p",
        "gcloud ai custom-jobs stream-logs 1 --project=project-1 --region=europe-west4",
        "gcloud ai custom-jobs cancel 1 --project=project-1 --region=europe-west4",
        *("JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"),
    ):
        assert text in printed.out


def test_an_answer_that_is_lost_makes_no_second_job():
    server = gcp.Jobs(["RUNNING"])
    server.lost = "CreateCustomJob"
    with run(server, *TPU) as going:
        follow.start(going)
        assert going.poll().state == "JOB_STATE_RUNNING"
    assert len(server.jobs) == 1


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        (["RUNNING", "FAILED: 3 The replica exited with a non-zero status of 2."], "status of 2"),
        (["RUNNING", "CANCELLED: 1 by a user"], "by a user"),
        (["EXPIRED"], "JOB_STATE_EXPIRED"),
    ],
)
def test_what_another_attempt_would_not_help(life: list[str], expected: str, capsys):
    server = gcp.Jobs(life)
    with run(server, *TPU) as going:
        follow.start(going)
        assert follow.follow(going, attempts=5, poll_seconds=0.01) == 1
    assert len(server.jobs) == 1
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("error", ["8 no capacity", "13 internal", "14 unavailable"])
def test_lost_machines_are_asked_for_again(error: str):
    server = gcp.Jobs(["RUNNING", f"FAILED: {error}"], ["RUNNING", "SUCCEEDED"])
    with run(server, *TPU) as going:
        follow.start(going)
        assert follow.follow(going, attempts=5, poll_seconds=0.01) == 0
    assert server.sent("CreateCustomJob") == [request(*TPU)] * 2


def test_the_same_command_follows_what_goes_on(capsys):
    server = gcp.Jobs(["RUNNING"])
    for _ in range(2):
        with run(server, *TPU) as going:
            follow.start(going)
    assert len(server.jobs) == 1
    assert "customJobs/1 (it exists already, so nothing was sent)" in capsys.readouterr().out
    assert 'display_name="run-1" AND state!=' in server.sent("ListCustomJobs")[0].filter


def test_another_run_of_that_name_is_left_alone():
    server = gcp.Jobs(["RUNNING"])
    with run(server, *TPU) as going:
        follow.start(going)
    with (
        run(server, *TPU, "--image", "another") as other,
        pytest.raises(UserError, match="another image or other flags"),
    ):
        follow.start(other)
    assert len(server.jobs) == 1
