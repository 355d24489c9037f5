"""What holds for a run on either service: it is started once, followed, and started again where
its machines are taken away. The real clients talk to a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pipelines.common.errors import UserError
from tests.trainer.submit import gcp
from tests.trainer.submit.conftest import Service
from trainer.submit import follow

SERVERS: dict[str, Callable[..., gcp.Server]] = {"tpu": gcp.Tpu, "vertex": gcp.Jobs}
CREATE = {"tpu": "CreateQueuedResource", "vertex": "CreateCustomJob"}
RUNNING = {"tpu": "ACTIVE", "vertex": "RUNNING"}
LOST = {"tpu": "SUSPENDED", "vertex": "FAILED: 14 unavailable"}
TPU = "--project=project-1 --zone=europe-west4-a"
VERTEX = "--project=project-1 --region=europe-west4"
LINKS = {
    "tpu": (
        "submitted: projects/project-1/locations/europe-west4-a/queuedResources/run-1",
        "https://console.cloud.google.com/compute/tpus?project=project-1",
        """gcloud storage cat 'gs://bucket/it'"'"'s $(a) job/submit/run-1-worker-0-*.log'""",
        f"gcloud compute tpus tpu-vm ssh run-1 {TPU}",
        f"gcloud compute tpus queued-resources delete run-1 {TPU} --force",
    ),
    "vertex": (
        "submitted: projects/project-1/locations/europe-west4/customJobs/1",
        "https://console.cloud.google.com/vertex-ai/locations/europe-west4/training/1?project=p",
        f"gcloud ai custom-jobs stream-logs 1 {VERTEX}",
        f"gcloud ai custom-jobs cancel 1 {VERTEX}",
    ),
}


@pytest.fixture(params=SERVERS)
def name(request) -> str:
    return request.param


@pytest.fixture
def service(name: str, request) -> Service:
    return request.getfixturevalue(f"{name}_service")


def test_it_is_sent_after_faults_and_says_where_to_look(name: str, service: Service, capsys):
    server = SERVERS[name]([RUNNING[name]], faults=2)
    service.start(server)
    assert server.sent(CREATE[name]) == [service.request()]
    printed = capsys.readouterr()
    assert printed.err.count("the service is away") == 2
    assert not [text for text in LINKS[name] if text not in printed.out]


def test_neither_a_lost_answer_nor_the_same_command_starts_a_second(name, service, capsys):
    server = SERVERS[name]([RUNNING[name]])
    server.lost = CREATE[name]
    service.start(server)
    with service.run(server) as again:
        follow.start(again)
        assert again.poll().outcome is None
    assert len(server.sent(CREATE[name])) == 1
    assert capsys.readouterr().out.count("it exists already, so nothing was sent") == 2


def test_attempts_are_bounded(name: str, service: Service, capsys):
    server = SERVERS[name]([RUNNING[name], LOST[name]], [LOST[name]])
    assert service.follow(server, attempts=2) == 1
    assert server.sent(CREATE[name]) == [service.request()] * 2
    assert "lost in attempt 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "life", "expected"),
    [
        ("tpu", ["FAILED"], "no TPU in time"),
        ("tpu", ["ACTIVE", "SUSPENDED by USER"], "a user suspended the queued resource"),
        ("vertex", ["RUNNING", "FAILED: 3 non-zero status of 2."], "non-zero status of 2"),
        ("vertex", ["RUNNING", "CANCELLED: 1 by a user"], "by a user"),
        ("vertex", ["EXPIRED"], "JOB_STATE_EXPIRED"),
    ],
)
def test_what_another_attempt_would_not_help(
    name: str, service: Service, life: Sequence[str], expected: str, capsys
):
    server = SERVERS[name](life)
    assert service.follow(server) == 1
    assert len(server.sent(CREATE[name])) == 1
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("tpu", ["--accelerator", "v2-8"], "another accelerator_type"),
        ("tpu", ["--delete_when_done"], "another metadata"),
        ("vertex", ["--image", "another"], "another image or other flags"),
    ],
)
def test_another_run_of_that_name_is_left_alone(
    name: str, service: Service, flags: Sequence[str], message: str
):
    server = SERVERS[name]([RUNNING[name]])
    service.start(server)
    with pytest.raises(UserError, match=message):
        service.start(server, *flags)
    assert len(server.sent(CREATE[name])) == 1
    assert not [method for method, _ in server.asked if method.startswith("Delete")]


def test_patience_has_an_end(name: str, service: Service, monkeypatch):
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.5)
    server = SERVERS[name]([RUNNING[name]], faults=1000)
    with pytest.raises(UserError, match="service is away"), follow.as_user_errors():
        service.start(server)
    assert server.asked == []
