"""Queued resources: the request field by field, and the real client against a server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from google.cloud import storage, tpu_v2
from google.cloud.tpu_v2.services.tpu.transports import TpuGrpcTransport

from pipelines.common.errors import UserError
from tests.trainer.submit import gcp
from trainer.submit import follow, startup, tpu_vm
from trainer.submit.command import as_json, prepare
from trainer.submit.options import TpuOptions, parse

TRAIN = ["--data", "gs://bucket/dataset", "--job_dir", "gs://bucket/job"]
PLACE = "projects/project-1/locations/europe-west4-a"


@pytest.fixture(scope="module")
def files() -> Iterator[storage.Client]:
    with gcp.bucket("bucket") as client:
        yield client


@pytest.fixture
def package(tmp_path) -> str:
    path = tmp_path / "gld2-0.1.0-py3-none-any.whl"
    path.write_bytes(b"a wheel")
    return str(path)


@pytest.fixture
def clean(files: storage.Client) -> storage.Client:
    for blob in list(files.list_blobs("bucket")):
        blob.delete()
    return files


def words(package: str, *more: str) -> list[str]:
    return [
        *("tpu", "--project", "project-1", "--zone", "europe-west4-a", "--name", "run-1"),
        *("--accelerator", "v3-8", "--package", package, "--staging", "gs://bucket/staging"),
        *(*more, "--", *TRAIN),
    ]


def checked(package: str, *more: str) -> TpuOptions:
    return prepare(*parse(words(package, *more)), tpu_vm)


def request(package: str, *more: str) -> tpu_v2.CreateQueuedResourceRequest:
    return tpu_vm.request(checked(package, *more))


@contextlib.contextmanager
def run(
    server: gcp.Tpu, files: storage.Client, package: str, *more: str
) -> Iterator[tpu_vm.TpuRun]:
    args = checked(package, *more)
    with gcp.channel(server) as channel:
        client = tpu_v2.TpuClient(transport=TpuGrpcTransport(channel=channel))
        yield tpu_vm.TpuRun(args, tpu_vm.request(args), client, files)


def sends(files: storage.Client, path: str, text: str, state: str = "ACTIVE"):
    """A state in which a worker has just left a file."""

    def state_now() -> str:
        files.bucket("bucket").blob(path).upload_from_string(text)
        return state

    return state_now


# ---- the request --------------------------------------------------------------------------------


def test_a_request_field_by_field(package: str):
    wanted = request(
        package,
        *("--spot", "--valid_until_hours", "2.5", "--service_account", "a@b.example"),
        *("--network", "net", "--subnetwork", "sub", "--delete_when_done"),
        *("--constraints", "gs://bucket/constraints.txt"),
    )
    assert wanted.parent == PLACE
    assert wanted.queued_resource_id == "run-1"
    resource = wanted.queued_resource
    assert "spot" in resource and "guaranteed" not in resource
    assert resource.queueing_policy.valid_until_duration.total_seconds() == 9000
    [spec] = resource.tpu.node_spec
    assert (spec.parent, spec.node_id) == (PLACE, "run-1")
    node = spec.node
    assert (node.accelerator_type, node.runtime_version) == ("v3-8", "tpu-ubuntu2204-base")
    assert (node.network_config.network, node.network_config.subnetwork) == ("net", "sub")
    assert node.network_config.enable_external_ips
    assert node.service_account.email == "a@b.example"
    assert dict(node.metadata) == {
        "startup-script": startup.script(
            ["gld2", "train", "--device", "tpu", *TRAIN],
            name="run-1",
            project="project-1",
            zone="europe-west4-a",
            job_dir="gs://bucket/job",
            package="gs://bucket/staging/run-1/69f51477f05c/gld2-0.1.0-py3-none-any.whl",
            constraints="gs://bucket/constraints.txt",
            delete_when_done="yes",
        )
    }


def test_what_is_not_asked_for_is_not_in_it(package: str):
    resource = request(package, "--internal_ips").queued_resource
    assert "spot" not in resource and "queueing_policy" not in resource
    node = resource.tpu.node_spec[0].node
    assert "service_account" not in node
    assert not node.network_config.enable_external_ips
    assert "delete_when_done=''" in node.metadata["startup-script"]


def test_it_is_what_gcloud_sends(package: str):
    """The body was recorded from `gcloud compute tpus queued-resources create` 528.0.0."""
    ours = json.loads(
        as_json(
            request(
                package,
                *("--spot", "--valid_until_hours", "2", "--service_account", "a@b.c"),
                *("--network", "default"),
            )
        )
    )
    script = ours["queuedResource"]["tpu"]["nodeSpec"][0]["node"]["metadata"]["startup-script"]
    assert ours["queuedResource"] == {
        "queueingPolicy": {"validUntilDuration": "7200s"},
        "spot": {},
        "tpu": {
            "nodeSpec": [
                {
                    "node": {
                        "acceleratorType": "v3-8",
                        "metadata": {"startup-script": script},
                        "networkConfig": {"enableExternalIps": True, "network": "default"},
                        "runtimeVersion": "tpu-ubuntu2204-base",
                        "serviceAccount": {"email": "a@b.c"},
                    },
                    "nodeId": "run-1",
                    "parent": PLACE,
                }
            ]
        },
    }


@pytest.mark.parametrize(
    ("accelerator", "runtime"),
    [("v2-8", "tpu-ubuntu2204-base"), ("v5litepod-16", "v2-alpha-tpuv5-lite")],
)
def test_the_image_follows_from_the_accelerator(package: str, accelerator: str, runtime: str):
    wanted = request(package, "--accelerator", accelerator)
    assert wanted.queued_resource.tpu.node_spec[0].node.runtime_version == runtime
    given = request(package, "--accelerator", accelerator, "--runtime_version", "mine")
    assert given.queued_resource.tpu.node_spec[0].node.runtime_version == "mine"


def test_another_wheel_is_another_request(package: str, tmp_path):
    first = request(package)
    assert request(package) == first
    (tmp_path / "gld2-0.1.0-py3-none-any.whl").write_bytes(b"another wheel")
    assert request(package) != first


# ---- against a server ---------------------------------------------------------------------------


def test_it_is_sent_after_faults_and_its_files_with_it(clean, package: str, capsys):
    server = gcp.Tpu(["ACTIVE"], faults=2)
    with run(server, clean, package) as going:
        follow.start(going)
    assert server.sent("CreateQueuedResource") == [request(package)]
    assert [(blob.name, blob.download_as_bytes()) for blob in clean.list_blobs("bucket")] == [
        ("staging/run-1/69f51477f05c/gld2-0.1.0-py3-none-any.whl", b"a wheel")
    ]
    printed = capsys.readouterr()
    assert printed.err.count("the service is away") == 2
    place = "--project=project-1 --zone=europe-west4-a"
    for text in (
        f"submitted: {PLACE}/queuedResources/run-1",
        "https://console.cloud.google.com/compute/tpus?project=project-1",
        "gcloud storage cat 'gs://bucket/job/submit/run-1-worker-0-*.log'",
        f"gcloud compute tpus tpu-vm ssh run-1 {place}",
        f"gcloud compute tpus queued-resources delete run-1 {place} --force",
    ):
        assert text in printed.out


def test_an_answer_that_is_lost_makes_no_second_request(clean, package: str):
    server = gcp.Tpu(["ACTIVE"])
    server.lost = "CreateQueuedResource"
    with run(server, clean, package) as going:
        follow.start(going)
    assert len(server.sent("CreateQueuedResource")) == 1


def test_a_spot_tpu_that_is_taken_away_is_asked_for_again(clean, package: str, capsys):
    server = gcp.Tpu(
        ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "SUSPENDING", "SUSPENDED by SERVICE"],
        ["WAITING_FOR_RESOURCES", "SUSPENDED"],
        ["ACTIVE", sends(clean, "job/done.json", "{}")],
    )
    with run(server, clean, package, "--spot") as going:
        follow.start(going)
        assert follow.follow(going, attempts=5, poll_seconds=0.01) == 0
    assert server.sent("CreateQueuedResource") == [request(package, "--spot")] * 3
    assert [deleted.force for deleted in server.sent("DeleteQueuedResource")] == [True, True]
    shown = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line[2:3] == ":"]
    assert shown == [
        *("WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "SUSPENDING", "SUSPENDED"),
        *("WAITING_FOR_RESOURCES", "SUSPENDED", "ACTIVE", "DONE"),
    ]


def test_attempts_are_bounded(clean, package: str, capsys):
    server = gcp.Tpu(["SUSPENDED"], ["SUSPENDED"])
    with run(server, clean, package) as going:
        follow.start(going)
        assert follow.follow(going, attempts=2, poll_seconds=0.01) == 1
    assert len(server.sent("CreateQueuedResource")) == 2
    assert "lost in attempt 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        (["FAILED"], "no TPU in time"),
        (["ACTIVE", "SUSPENDED by USER"], "a user suspended the queued resource"),
    ],
)
def test_what_another_attempt_would_not_help(clean, package: str, capsys, life, expected: str):
    server = gcp.Tpu(life)
    with run(server, clean, package) as going:
        follow.start(going)
        assert follow.follow(going, attempts=5, poll_seconds=0.01) == 1
    assert len(server.sent("CreateQueuedResource")) == 1
    assert expected in capsys.readouterr().out


def test_a_trainer_that_gives_up_is_heard(clean, package: str, capsys):
    server = gcp.Tpu(["ACTIVE", sends(clean, "job/submit/run-1.failed", "error: no shards")])
    with run(server, clean, package) as going:
        follow.start(going)
        assert follow.follow(going, attempts=5, poll_seconds=0.01) == 1
    printed = capsys.readouterr().out
    assert "error: no shards" in printed
    assert (
        "the queued resource still exists and may cost money; to delete it: "
        "gcloud compute tpus queued-resources delete" in printed
    )
    assert server.resource is not None


def test_what_an_earlier_run_said_does_not_count(clean, package: str):
    sends(clean, "job/submit/run-1.failed", "old")()
    server = gcp.Tpu(["ACTIVE", "ACTIVE", sends(clean, "job/done.json", "{}")])
    with run(server, clean, package) as going:
        follow.start(going)
        assert follow.follow(going, attempts=1, poll_seconds=0.01) == 0


@pytest.mark.parametrize("life", [["ACTIVE"], ["FAILED"]])
def test_it_is_deleted_where_asked(clean, package: str, life):
    if life == ["ACTIVE"]:
        sends(clean, "job/done.json", "{}")()
    server = gcp.Tpu(life)
    with run(server, clean, package, "--delete_when_done") as going:
        follow.start(going)
        follow.follow(going, attempts=1, poll_seconds=0.01)
        assert server.resource is None
        # Its worker may have been quicker.
        assert going.poll().outcome
        going.close()


def test_somebody_deletes_it(clean, package: str, capsys):
    server = gcp.Tpu(["ACTIVE"])
    with run(server, clean, package) as going:
        follow.start(going)
        server.resource = None
        assert follow.follow(going, attempts=5, poll_seconds=0.01) == 1
    assert "the queued resource was deleted" in capsys.readouterr().out


def test_the_same_command_follows_what_goes_on(clean, package: str, capsys):
    server = gcp.Tpu(["ACTIVE"])
    for _ in range(2):
        with run(server, clean, package) as going:
            follow.start(going)
    assert len(server.sent("CreateQueuedResource")) == 1
    assert "run-1 (it exists already, so nothing was sent)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "field"),
    [(["--accelerator", "v2-8"], "accelerator_type"), (["--delete_when_done"], "metadata")],
)
def test_another_run_of_that_name_is_left_alone(clean, package: str, flags, field: str):
    server = gcp.Tpu(["ACTIVE"])
    with run(server, clean, package) as going:
        follow.start(going)
    with (
        run(server, clean, package, *flags) as other,
        pytest.raises(UserError, match=f"another {field}"),
    ):
        follow.start(other)
    assert len(server.sent("CreateQueuedResource")) == 1
    assert server.sent("DeleteQueuedResource") == []


def test_what_the_service_leaves_out_is_not_compared(clean, package: str):
    server = gcp.Tpu(["ACTIVE"])
    with run(server, clean, package) as going:
        follow.start(going)
        server.resource.tpu.node_spec[0].node.metadata.clear()
        follow.start(going)
    assert len(server.sent("CreateQueuedResource")) == 1


@pytest.mark.parametrize("state", ["SUSPENDED", "FAILED"])
def test_the_same_command_replaces_what_is_over(clean, package: str, state: str):
    server = gcp.Tpu([state], ["ACTIVE"])
    with run(server, clean, package) as going:
        follow.start(going)
        follow.start(going)
    assert [name for name, _ in server.asked if name[:3] != "Get"] == [
        *("CreateQueuedResource", "DeleteQueuedResource", "CreateQueuedResource")
    ]


def test_it_waits_for_one_that_is_being_removed(clean, package: str, capsys):
    server = gcp.Tpu(["SUSPENDING", "SUSPENDED"], ["ACTIVE"])
    with run(server, clean, package) as going:
        follow.start(going)
        follow.start(going)
    assert len(server.sent("CreateQueuedResource")) == 2
    assert "still being removed; trying again in" in capsys.readouterr().err


def test_a_refusal_is_one_line(clean, package: str):
    server = gcp.Tpu(refusal=(8, "Quota 'TPUV3sPreemptiblePerProject' exceeded."))
    with (
        run(server, clean, package) as going,
        pytest.raises(UserError) as caught,
        follow.as_user_errors(),
    ):
        follow.start(going)
    assert "TPUV3sPreemptiblePerProject" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_patience_has_an_end(clean, package: str, monkeypatch):
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.5)
    server = gcp.Tpu(["ACTIVE"], faults=1000)
    with (
        run(server, clean, package) as going,
        pytest.raises(UserError, match="service is away"),
        follow.as_user_errors(),
    ):
        follow.start(going)
    assert server.asked == []
