"""A run on a TPU VM, or on a slice of several: a queued resource that starts the trainer itself."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import re
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

RUNTIMES = {  # generation of TPU -> the image that JAX is installed on
    "v2": "tpu-ubuntu2204-base",
    "v3": "tpu-ubuntu2204-base",
    "v4": "tpu-ubuntu2204-base",
    "v5litepod": "v2-alpha-tpuv5-lite",
    "v5p": "v2-alpha-tpuv5",
    "v6e": "v2-alpha-tpuv6e",
}
PACKAGES = (".whl", ".tar.gz", ".zip")
OPERATION_SECONDS = 300.0  # within which a request is accepted or refused
OVER = (State.State.SUSPENDED, State.State.FAILED)
GOING = (State.State.SUSPENDING, State.State.DELETING)


def check(args: argparse.Namespace) -> None:
    """Checks the flags, and fills in what follows from them.

    Raises:
      UserError: a flag that is malformed.
    """
    if not re.fullmatch(r"[a-z]+-[a-z]+[0-9]+-[a-z]", args.zone):
        raise UserError(f"--zone {args.zone}: expected one such as europe-west4-a")
    found = re.fullmatch(r"(v[0-9]+[a-z]*)-[0-9]+", args.accelerator)
    if not found:
        raise UserError(f"--accelerator {args.accelerator}: expected one such as v3-8")
    args.runtime_version = args.runtime_version or RUNTIMES.get(found[1])
    if not args.runtime_version:
        raise UserError(f"--runtime_version: give it, as {found[1]} is not known here")
    if not args.package.endswith(PACKAGES):
        raise UserError(f"--package {args.package}: expected {', '.join(PACKAGES)}")
    if args.valid_until_hours is not None and not 0 < args.valid_until_hours <= 24 * 365:
        raise UserError(f"--valid_until_hours: expected 0 to 8760, found {args.valid_until_hours}")


def device(args: argparse.Namespace) -> str:
    """What gld2 train is told."""
    return "tpu"


def request(args: argparse.Namespace) -> CreateQueuedResourceRequest:
    """What is sent.

    Args:
      args: the checked flags; its `train` are those of gld2 train, its `job_dir` is theirs.

    Raises:
      UserError: a package that is not there, or flags that are too long.
    """
    folder = f"{args.staging}/{args.name}"
    script = startup.script(
        ["gld2", "train", *args.train],
        name=args.name,
        project=args.project,
        zone=args.zone,
        job_dir=args.job_dir,
        package=upload.place(args.package, folder),
        constraints=upload.place(args.constraints, folder) if args.constraints else "",
        delete_when_done="yes" if args.delete_when_done else "",
    )
    parent = f"projects/{args.project}/locations/{args.zone}"
    spec = QueuedResource.Tpu.NodeSpec(parent=parent, node_id=args.name, node=_node(args, script))
    return CreateQueuedResourceRequest(
        parent=parent,
        queued_resource_id=args.name,
        queued_resource=QueuedResource(
            tpu=QueuedResource.Tpu(node_spec=[spec]),
            spot=QueuedResource.Spot() if args.spot else None,
            queueing_policy=_policy(args.valid_until_hours),
        ),
    )


def _node(args: argparse.Namespace, script: str) -> Node:
    account = args.service_account
    return Node(
        accelerator_type=args.accelerator,
        runtime_version=args.runtime_version,
        network_config=tpu_v2.NetworkConfig(
            network=args.network,
            subnetwork=args.subnetwork,
            enable_external_ips=not args.internal_ips,
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
        args: argparse.Namespace,
        wanted: CreateQueuedResourceRequest,
        client: tpu_v2.TpuClient | None = None,
        files: Client | None = None,
    ):
        """Connects, with the machine's own credentials where no clients are given."""
        self._args = args
        self._wanted = wanted
        self._client = client or tpu_v2.TpuClient()
        self._files = files or Client(project=args.project)
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
        job_dir, name = self._args.job_dir, self._args.name
        if upload.exists(self._files, f"{job_dir}/done.json"):
            return Status("DONE", Outcome.SUCCEEDED, job_dir)
        since = found.create_time if found else None
        words = upload.note(self._files, f"{job_dir}/submit/{name}.failed", since)
        if words is not None:
            return Status("DONE", Outcome.FAILED, f"the trainer gave up. Its last words:\n{words}")
        return _status(state) if found else Status("ABSENT", Outcome.FAILED, "somebody deleted it")

    def where(self) -> dict[str, str]:
        args = self._args
        place = f"--project={args.project} --zone={args.zone}"
        query = quote(f'resource.type="tpu_worker" resource.labels.node_id="{args.name}"', safe="")
        logs = f"{args.job_dir}/submit/{args.name}-worker-0-*.log"
        gcloud = "gcloud compute tpus"
        console = "https://console.cloud.google.com"
        journal = "sudo journalctl -f -u google-startup-scripts"
        return {
            "console": f"{console}/compute/tpus?project={args.project}",
            "logging": f"{console}/logs/query;query={query}?project={args.project}",
            "log": f"gcloud storage cat {shlex.quote(logs)}",
            "live": f"{gcloud} tpu-vm ssh {args.name} {place} --worker=0 --command='{journal}'",
            "state": f"{gcloud} queued-resources describe {args.name} {place}",
            "cancel": f"{gcloud} queued-resources delete {args.name} {place} --force",
        }

    def close(self) -> None:
        if self._args.delete_when_done:
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
        folder = f"{self._args.staging}/{self._args.name}"
        for path in filter(None, (self._args.package, self._args.constraints)):
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
