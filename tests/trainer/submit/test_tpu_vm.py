"""Queued resources: the request, and what becomes of them on a server."""

from __future__ import annotations

import json

import pytest
from google.cloud import storage

from pipelines.common.errors import UserError
from tests.trainer.submit import gcp
from tests.trainer.submit.conftest import TRAIN, Service
from trainer.submit import follow, startup
from trainer.submit.command import as_json

PLACE = "projects/project-1/locations/europe-west4-a"
JOB = TRAIN[-1].removeprefix("gs://bucket/")


def sends(files: storage.Client, path: str, text: str, state: str = "ACTIVE"):
    """A state in which a worker has just left a file."""

    def state_now() -> str:
        files.bucket("bucket").blob(f"{JOB}/{path}").upload_from_string(text)
        return state

    return state_now


# ---- the request --------------------------------------------------------------------------------


def test_it_is_what_gcloud_sends(tpu_service: Service):
    """The body, but for its subnetwork, was recorded from `gcloud compute tpus queued-resources
    create` 528.0.0."""
    wanted = tpu_service.request(
        *("--spot", "--valid_until_hours", "2", "--service_account", "a@b.c"),
        *("--network", "default", "--subnetwork", "sub", "--delete_when_done"),
        *("--constraints", "gs://bucket/constraints.txt"),
    )
    assert json.loads(as_json(wanted)) == {
        "parent": PLACE,
        "queuedResourceId": "run-1",
        "queuedResource": {
            "queueingPolicy": {"validUntilDuration": "7200s"},
            "spot": {},
            "tpu": {
                "nodeSpec": [
                    {
                        "node": {
                            "acceleratorType": "v3-8",
                            "metadata": {
                                "startup-script": startup.script(
                                    ["gld2", "train", "--device", "tpu", *TRAIN],
                                    name="run-1",
                                    project="project-1",
                                    zone="europe-west4-a",
                                    job_dir=TRAIN[-1],
                                    package="gs://bucket/staging/run-1/69f51477f05c/"
                                    "gld2-0.1.0-py3-none-any.whl",
                                    constraints="gs://bucket/constraints.txt",
                                    delete_when_done="yes",
                                )
                            },
                            "networkConfig": {
                                "enableExternalIps": True,
                                "network": "default",
                                "subnetwork": "sub",
                            },
                            "runtimeVersion": "tpu-ubuntu2204-base",
                            "serviceAccount": {"email": "a@b.c"},
                        },
                        "nodeId": "run-1",
                        "parent": PLACE,
                    }
                ]
            },
        },
    }


def test_what_is_not_asked_for_is_not_in_it(tpu_service: Service):
    resource = tpu_service.request("--internal_ips").queued_resource
    assert "spot" not in resource and "queueing_policy" not in resource
    node = resource.tpu.node_spec[0].node
    assert "service_account" not in node
    assert not node.network_config.enable_external_ips
    assert "delete_when_done=''" in node.metadata["startup-script"]


@pytest.mark.parametrize(
    ("flags", "runtime"),
    [
        (["--accelerator", "v2-8"], "tpu-ubuntu2204-base"),
        (["--accelerator", "v5litepod-16"], "v2-alpha-tpuv5-lite"),
        (["--accelerator", "v5litepod-16", "--runtime_version", "mine"], "mine"),
    ],
)
def test_the_image_follows_from_the_accelerator(tpu_service: Service, flags, runtime: str):
    node = tpu_service.request(*flags).queued_resource.tpu.node_spec[0].node
    assert node.runtime_version == runtime


def test_another_wheel_is_another_request(tpu_service: Service, tmp_path):
    first = tpu_service.request()
    assert tpu_service.request() == first
    (tmp_path / "gld2-0.1.0-py3-none-any.whl").write_bytes(b"another wheel")
    assert tpu_service.request() != first


# ---- against a server ---------------------------------------------------------------------------


def test_its_files_are_sent_first(files, tpu_service: Service):
    tpu_service.start(gcp.Tpu(["ACTIVE"]))
    assert [(blob.name, blob.download_as_bytes()) for blob in files.list_blobs("bucket")] == [
        ("staging/run-1/69f51477f05c/gld2-0.1.0-py3-none-any.whl", b"a wheel")
    ]


def test_a_spot_tpu_that_is_taken_away_is_asked_for_again(files, tpu_service: Service, capsys):
    server = gcp.Tpu(
        ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "SUSPENDING", "SUSPENDED by SERVICE"],
        ["WAITING_FOR_RESOURCES", "SUSPENDED"],
        ["ACTIVE", sends(files, "done.json", "{}")],
    )
    assert tpu_service.follow(server, "--spot") == 0
    assert server.sent("CreateQueuedResource") == [tpu_service.request("--spot")] * 3
    assert [deleted.force for deleted in server.sent("DeleteQueuedResource")] == [True, True]
    shown = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line[2:3] == ":"]
    assert shown == [
        *("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "SUSPENDING", "SUSPENDED"),
        *("WAITING_FOR_RESOURCES", "SUSPENDED", "ACTIVE", "DONE"),
    ]


def test_a_trainer_that_gives_up_is_heard(files, tpu_service: Service, capsys):
    server = gcp.Tpu(["ACTIVE", sends(files, "submit/run-1.failed", "error: no shards")])
    assert tpu_service.follow(server) == 1
    printed = capsys.readouterr().out
    assert "error: no shards" in printed
    assert (
        "the queued resource still exists and may cost money; to delete it: "
        "gcloud compute tpus queued-resources delete" in printed
    )
    assert server.resource is not None


def test_what_an_earlier_run_said_does_not_count(files, tpu_service: Service):
    sends(files, "submit/run-1.failed", "old")()
    server = gcp.Tpu(["ACTIVE", "ACTIVE", sends(files, "done.json", "{}")])
    assert tpu_service.follow(server) == 0


@pytest.mark.parametrize("life", [["ACTIVE"], ["FAILED"]])
def test_it_is_deleted_where_asked(files, tpu_service: Service, life):
    if life == ["ACTIVE"]:
        sends(files, "done.json", "{}")()
    server = gcp.Tpu(life)
    with tpu_service.run(server, "--delete_when_done") as going:
        follow.start(going)
        follow.follow(going, attempts=1, poll_seconds=0.01)
        assert server.resource is None
        # Its worker may have been quicker.
        assert going.poll().outcome
        going.close()


def test_somebody_deletes_it(tpu_service: Service, capsys):
    server = gcp.Tpu(["ACTIVE"])
    with tpu_service.run(server) as going:
        follow.start(going)
        server.resource = None
        assert follow.follow(going, attempts=5, poll_seconds=0.01) == 1
    assert "the queued resource was deleted" in capsys.readouterr().out


def test_what_the_service_leaves_out_is_not_compared(tpu_service: Service):
    server = gcp.Tpu(["ACTIVE"])
    tpu_service.start(server)
    server.resource.tpu.node_spec[0].node.metadata.clear()
    tpu_service.start(server)
    assert len(server.sent("CreateQueuedResource")) == 1


@pytest.mark.parametrize("state", ["SUSPENDED", "FAILED"])
def test_the_same_command_replaces_what_is_over(tpu_service: Service, state: str):
    server = gcp.Tpu([state], ["ACTIVE"])
    tpu_service.start(server)
    tpu_service.start(server)
    assert [name for name, _ in server.asked if name[:3] != "Get"] == [
        *("CreateQueuedResource", "DeleteQueuedResource", "CreateQueuedResource")
    ]


def test_it_waits_for_one_that_is_being_removed(tpu_service: Service, capsys):
    server = gcp.Tpu(["SUSPENDING", "SUSPENDED"], ["ACTIVE"])
    tpu_service.start(server)
    tpu_service.start(server)
    assert len(server.sent("CreateQueuedResource")) == 2
    assert "still being removed; trying again in" in capsys.readouterr().err


def test_a_refusal_is_one_line(tpu_service: Service):
    server = gcp.Tpu(refusal=(8, "Quota 'TPUV3sPreemptiblePerProject' exceeded."))
    with pytest.raises(UserError) as caught, follow.as_user_errors():
        tpu_service.start(server)
    assert "TPUV3sPreemptiblePerProject" in str(caught.value)
    assert "\n" not in str(caught.value)
