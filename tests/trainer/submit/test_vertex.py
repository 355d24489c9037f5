"""Vertex AI custom jobs: the request field by field, and which ends are its machines' fault."""

from __future__ import annotations

import pytest
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1 import AcceleratorType, Scheduling

from pipelines.common.errors import UserError
from tests.trainer.submit import gcp
from tests.trainer.submit.conftest import TRAIN, Service


def test_a_request_field_by_field(vertex_service: Service):
    wanted = vertex_service.request(
        *("--spot", "--timeout_hours", "12", "--service_account", "a@b.example"),
        *("--restart_on_restart", "--network", "projects/1/global/networks/net"),
    )
    assert wanted.parent == "projects/project-1/locations/europe-west4"
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


@pytest.mark.parametrize(
    ("flags", "machine", "device"),
    [
        (["--machine_type", "n1-standard-8"], {"machine_type": "n1-standard-8"}, "auto"),
        (
            ["--machine_type", "ct5lp-hightpu-4t", "--tpu_topology", "2x2"],
            {"machine_type": "ct5lp-hightpu-4t", "tpu_topology": "2x2"},
            "tpu",
        ),
    ],
    ids=["no accelerator", "a TPU that comes with its machine"],
)
def test_what_is_not_asked_for_is_not_in_it(vertex_service: Service, flags, machine, device):
    spec = vertex_service.request("--accelerator", "", *flags).custom_job.job_spec
    assert spec.scheduling == Scheduling()
    [pool] = spec.worker_pool_specs
    assert pool.machine_spec == aiplatform_v1.MachineSpec(**machine)
    assert list(pool.container_spec.args)[:3] == ["train", "--device", device]


def test_flex_start(vertex_service: Service):
    spec = vertex_service.request("--flex_start", "--max_wait_hours", "6").custom_job.job_spec
    assert spec.scheduling.strategy == Scheduling.Strategy.FLEX_START
    assert spec.scheduling.max_wait_duration.total_seconds() == 6 * 3600


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--region", "europe"], "--region"),
        (["--accelerator", "TPU_V9"], "expected one of .*TPU_V3"),
        (["--accelerator_count", "0"], "--accelerator_count"),
        (["--spot", "--flex_start"], "--flex_start"),
        (["--max_wait_hours", "2"], "--flex_start"),
        (["--timeout_hours", "-1"], "--timeout_hours"),
    ],
)
def test_a_mistake_is_named(vertex_service: Service, flags: list[str], expected: str):
    with pytest.raises(UserError, match=expected):
        vertex_service.request(*flags)


@pytest.mark.parametrize("error", ["8 no capacity", "13 internal", "14 unavailable"])
def test_lost_machines_are_asked_for_again(vertex_service: Service, error: str, capsys):
    server = gcp.Jobs(["QUEUED", f"FAILED: {error}"], ["PENDING", "RUNNING", "SUCCEEDED"])
    assert vertex_service.follow(server) == 0
    assert server.sent("CreateCustomJob") == [vertex_service.request()] * 2
    shown = [word for word in capsys.readouterr().out.split() if word.startswith("JOB_STATE_")]
    states = ("QUEUED", "FAILED", "PENDING", "RUNNING", "SUCCEEDED")
    assert shown == [f"JOB_STATE_{state}" for state in states]


def test_only_jobs_of_its_name_that_go_on_are_looked_for(vertex_service: Service):
    server = gcp.Jobs(["RUNNING"])
    vertex_service.start(server)
    assert 'display_name="run-1" AND state!=' in server.sent("ListCustomJobs")[0].filter
