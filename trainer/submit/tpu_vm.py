"""A run on a TPU VM, or on a slice of several: a queued resource that starts the trainer itself."""

from __future__ import annotations

import contextlib
import datetime
import shlex
from concurrent import futures
from urllib.parse import quote

from google.api_core import exceptions
from google.api_core.operation import Operation
from google.cloud import tpu_v2
from google.cloud.storage import Client
from google.cloud.tpu_v2 import CreateQueuedResourceRequest, Node, QueuedResource
from google.cloud.tpu_v2 import QueuedResourceState as State

from pipelines.common.errors import UserError
from trainer.submit import follow, startup, upload
from trainer.submit.follow import Outcome, Status
from trainer.submit.options import TpuOptions

OPERATION_SECONDS = 300.0  # within which a request is accepted or refused
OVER = (State.State.SUSPENDED, State.State.FAILED)
GOING = (State.State.SUSPENDING, State.State.DELETING)


def device(options: TpuOptions) -> str:
    """Returns what gld2 train is told."""
    return "tpu"


def request(options: TpuOptions) -> CreateQueuedResourceRequest:
    """What is sent.

    Args:
      options: the checked flags; its `train` are those of gld2 train, its `job_dir` is theirs.

    Raises:
      UserError: a package that is not there, or flags that are too long.
    """
    folder = f"{options.staging}/{options.name}"
    script = startup.script(
        ["gld2", "train", *options.train],
        name=options.name,
        project=options.project,
        zone=options.zone,
        job_dir=options.job_dir,
        package=upload.place(options.package, folder),
        constraints=upload.place(options.constraints, folder) if options.constraints else "",
        delete_when_done="yes" if options.delete_when_done else "",
    )
    parent = f"projects/{options.project}/locations/{options.zone}"
    spec = QueuedResource.Tpu.NodeSpec(
        parent=parent, node_id=options.name, node=_node(options, script)
    )
    return CreateQueuedResourceRequest(
        parent=parent,
        queued_resource_id=options.name,
        queued_resource=QueuedResource(
            tpu=QueuedResource.Tpu(node_spec=[spec]),
            spot=QueuedResource.Spot() if options.spot else None,
            queueing_policy=_policy(options.valid_until_hours),
        ),
    )


def _node(options: TpuOptions, script: str) -> Node:
    account = options.service_account
    return Node(
        accelerator_type=options.accelerator,
        runtime_version=options.image,
        network_config=tpu_v2.NetworkConfig(
            network=options.network,
            subnetwork=options.subnetwork,
            enable_external_ips=not options.internal_ips,
        ),
        service_account=tpu_v2.ServiceAccount(email=account) if account else None,
        metadata={"startup-script": script},
    )


def _policy(hours: float | None) -> QueuedResource.QueueingPolicy | None:
    if hours is None:
        return None
    duration = datetime.timedelta(hours=hours)
    return QueuedResource.QueueingPolicy(valid_until_duration=duration)


class Run:
    """A queued resource, from its request to its end; see cloud.Run."""

    def __init__(
        self,
        options: TpuOptions,
        wanted: CreateQueuedResourceRequest,
        client: tpu_v2.TpuClient | None = None,
        files: Client | None = None,
    ):
        """Connects, with the machine's own credentials where no clients are given."""
        self._options = options
        self._wanted = wanted
        self._client = client or tpu_v2.TpuClient()
        self._files = files or Client(project=options.project)
        self._name = f"{wanted.parent}/queuedResources/{wanted.queued_resource_id}"

    def start(self) -> str:
        found = self._find()
        if found and found.state.state in OVER:
            self._delete()
            found = self._find()
        if found and found.state.state in (*OVER, *GOING):
            raise follow.NotYet(f"{self._name} is still being removed")
        if found:
            self._must_be_the_same(found)
            return f"{self._name} (it was there already)"
        self._stage()
        _settle(self._client.create_queued_resource(self._wanted, timeout=follow.TIMEOUT))
        return self._name

    def look(self) -> Status:
        found = self._find()
        state = found.state if found else State()
        if found and state.state not in (State.State.ACTIVE, *OVER):
            return _status(state)
        job_dir, name = self._options.job_dir, self._options.name
        if upload.exists(self._files, f"{job_dir}/done.json"):
            return Status("DONE", Outcome.SUCCEEDED, job_dir)
        since = found.create_time if found else None
        words = upload.note(self._files, f"{job_dir}/submit/{name}.failed", since)
        if words is not None:
            return Status("DONE", Outcome.FAILED, f"the trainer gave up. Its last words:\n{words}")
        return _status(state) if found else Status("ABSENT", Outcome.FAILED, "somebody deleted it")

    def where(self) -> dict[str, str]:
        options = self._options
        place = f"--project={options.project} --zone={options.zone}"
        query = quote(
            f'resource.type="tpu_worker" resource.labels.node_id="{options.name}"', safe=""
        )
        logs = f"{options.job_dir}/submit/{options.name}-worker-0-*.log"
        gcloud = "gcloud compute tpus"
        console = "https://console.cloud.google.com"
        journal = "sudo journalctl -f -u google-startup-scripts"
        return {
            "console": f"{console}/compute/tpus?project={options.project}",
            "logging": f"{console}/logs/query;query={query}?project={options.project}",
            "log": f"gcloud storage cat {shlex.quote(logs)}",
            "live": f"{gcloud} tpu-vm ssh {options.name} {place} --worker=0 --command='{journal}'",
            "state": f"{gcloud} queued-resources describe {options.name} {place}",
            "cancel": f"{gcloud} queued-resources delete {options.name} {place} --force",
        }

    def close(self) -> None:
        if self._options.delete_when_done:
            self._delete()
        elif self._find():
            print(f"it is still there, and may cost: {self.where()['cancel']}", flush=True)

    def _find(self) -> QueuedResource | None:
        try:
            return self._client.get_queued_resource(name=self._name, timeout=follow.TIMEOUT)
        except exceptions.NotFound:
            return None

    def _delete(self) -> None:
        wanted = tpu_v2.DeleteQueuedResourceRequest(name=self._name, force=True)
        with contextlib.suppress(exceptions.NotFound):  # its worker may have been quicker
            _settle(self._client.delete_queued_resource(wanted, timeout=follow.TIMEOUT))

    def _must_be_the_same(self, found: QueuedResource) -> None:
        """Of what the service tells; it need not tell all."""
        wanted = self._wanted.queued_resource.tpu.node_spec[0].node
        for spec in found.tpu.node_spec:
            for field in ("accelerator_type", "runtime_version", "metadata"):
                told = getattr(spec.node, field)
                if told and told != getattr(wanted, field):
                    raise UserError(
                        f"{self._name} is there already, with another {field}: give another "
                        f"--name, or end it: {self.where()['cancel']}"
                    )

    def _stage(self) -> None:
        folder = f"{self._options.staging}/{self._options.name}"
        for path in filter(None, (self._options.package, self._options.constraints)):
            upload.upload(self._files, path, upload.place(path, folder))


def _settle(operation: Operation) -> None:
    """Waits until the service has said yes or no; what takes longer, the state will show."""
    with contextlib.suppress(futures.TimeoutError):
        operation.result(timeout=OPERATION_SECONDS)


def _status(state: State) -> Status:
    """What the state alone says."""
    name = State.State(state.state).name
    if state.state == State.State.FAILED:
        return Status(name, Outcome.FAILED, state.failed_data.error.message)
    if state.state != State.State.SUSPENDED:
        return Status(name)
    if state.state_initiator == State.StateInitiator.USER:
        return Status(name, Outcome.FAILED, "somebody suspended it")
    return Status(name, Outcome.LOST)
