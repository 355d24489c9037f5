"""Runs the trainer on a TPU VM, or a slice of several, as a queued resource.

The startup script of each VM starts the trainer.
"""

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

OPERATION_SECONDS = 300.0  # to wait for a request to be accepted or refused
OVER = (State.State.SUSPENDED, State.State.FAILED)
BEING_REMOVED = (State.State.SUSPENDING, State.State.DELETING)


def device(options: TpuOptions) -> str:
    """Returns the --device of gld2 train on the machine."""
    return "tpu"


def request(options: TpuOptions) -> CreateQueuedResourceRequest:
    """Returns the request that creates the queued resource.

    Args:
      options: the checked flags; `train` has those of gld2 train, `job_dir` the job folder in them.

    Raises:
      UserError: the package is missing or too large, or the flags are too long.
    """
    folder = options.run_folder
    script = startup.script(
        ["gld2", "train", *options.train],
        name=options.name,
        project=options.project,
        zone=options.zone,
        job_dir=options.job_dir,
        package=upload.staged_uri(options.package, folder),
        constraints=upload.staged_uri(options.constraints, folder) if options.constraints else "",
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


def connect(options: TpuOptions, wanted: CreateQueuedResourceRequest) -> TpuRun:
    """Returns the run of a request, with clients that use the machine's own credentials."""
    return TpuRun(options, wanted)


class TpuRun:
    """A run as a queued resource, from its request to its end; a `follow.CloudRun`."""

    def __init__(
        self,
        options: TpuOptions,
        wanted: CreateQueuedResourceRequest,
        client: tpu_v2.TpuClient | None = None,
        files: Client | None = None,
    ):
        """Connects; where no clients are given, with the machine's own credentials."""
        self._options = options
        self._wanted = wanted
        self._client = client or tpu_v2.TpuClient()
        self._files = files or Client(project=options.project)
        self._name = f"{wanted.parent}/queuedResources/{wanted.queued_resource_id}"

    def start(self) -> str:
        """Creates the queued resource, unless there is an active one; returns its name.

        One that is over is deleted first.

        Raises:
          UserError: an active one of this name was made by another request.
          ResourceBusy: an earlier one of this name is still being removed.
        """
        found = self._find()
        if found and found.state.state in OVER:
            self._delete()
            found = self._find()
        if found and found.state.state in (*OVER, *BEING_REMOVED):
            raise follow.ResourceBusy(f"{self._name} is still being removed")
        if found:
            self._check_same_request(found)
            return f"{self._name} (it exists already, so nothing was sent)"
        self._stage()
        _await_operation(self._client.create_queued_resource(self._wanted, timeout=follow.TIMEOUT))
        return self._name

    def poll(self) -> Status:
        """Returns the state by the service and by the files that the trainer writes."""
        found = self._find()
        state = found.state if found else State()
        if found and state.state not in (State.State.ACTIVE, *OVER):
            return _status(state)
        job_dir, name = self._options.job_dir, self._options.name
        if upload.exists(self._files, f"{job_dir}/done.json"):
            return Status("DONE", Outcome.SUCCEEDED, job_dir)
        since = found.create_time if found else None
        log = upload.read_note(self._files, f"{job_dir}/submit/{name}.failed", since)
        if log is not None:
            return Status("DONE", Outcome.FAILED, f"the trainer failed. The end of its log:\n{log}")
        if found:
            return _status(state)
        return Status("ABSENT", Outcome.FAILED, "the queued resource was deleted")

    def links(self) -> dict[str, str]:
        """Returns URLs and gcloud commands for looking at the run, by title."""
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
        """Deletes the queued resource where the flags say so; else prints how to delete it."""
        if self._options.delete_when_done:
            self._delete()
        elif self._find():
            print(
                "the queued resource still exists and may cost money; to delete it: "
                f"{self.links()['cancel']}",
                flush=True,
            )

    def _find(self) -> QueuedResource | None:
        try:
            return self._client.get_queued_resource(name=self._name, timeout=follow.TIMEOUT)
        except exceptions.NotFound:
            return None

    def _delete(self) -> None:
        wanted = tpu_v2.DeleteQueuedResourceRequest(name=self._name, force=True)
        with contextlib.suppress(exceptions.NotFound):  # its worker may have deleted it first
            _await_operation(self._client.delete_queued_resource(wanted, timeout=follow.TIMEOUT))

    def _check_same_request(self, found: QueuedResource) -> None:
        """Raises UserError where an existing resource differs; fields not returned are skipped."""
        wanted = self._wanted.queued_resource.tpu.node_spec[0].node
        for spec in found.tpu.node_spec:
            for field in ("accelerator_type", "runtime_version", "metadata"):
                returned = getattr(spec.node, field)
                if returned and returned != getattr(wanted, field):
                    raise UserError(
                        f"{self._name} exists already, with another {field}: give another "
                        f"--name, or delete it: {self.links()['cancel']}"
                    )

    def _stage(self) -> None:
        folder = self._options.run_folder
        for path in filter(None, (self._options.package, self._options.constraints)):
            upload.upload(self._files, path, upload.staged_uri(path, folder))


def _await_operation(operation: Operation) -> None:
    """Waits until a request is accepted or refused; after OPERATION_SECONDS, polling shows it."""
    with contextlib.suppress(futures.TimeoutError):
        operation.result(timeout=OPERATION_SECONDS)


def _status(state: State) -> Status:
    """Returns the status that a state of the queued resource means."""
    name = State.State(state.state).name
    if state.state == State.State.FAILED:
        return Status(name, Outcome.FAILED, state.failed_data.error.message)
    if state.state != State.State.SUSPENDED:
        return Status(name)
    if state.state_initiator == State.StateInitiator.USER:
        return Status(name, Outcome.FAILED, "a user suspended the queued resource")
    return Status(name, Outcome.LOST)
