"""Runs the trainer as a Vertex AI custom job: a container on machines that Vertex manages."""

from __future__ import annotations

import datetime
import itertools

from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1 import (
    AcceleratorType,
    CreateCustomJobRequest,
    CustomJob,
    JobState,
    Scheduling,
)
from google.rpc import code_pb2

from pipelines.common.errors import UserError
from trainer.submit import follow
from trainer.submit.follow import Outcome, Status
from trainer.submit.options import VertexOptions

OUTCOMES = {
    JobState.JOB_STATE_SUCCEEDED: Outcome.SUCCEEDED,
    JobState.JOB_STATE_FAILED: Outcome.FAILED,
    JobState.JOB_STATE_CANCELLED: Outcome.FAILED,
    JobState.JOB_STATE_EXPIRED: Outcome.FAILED,
    JobState.JOB_STATE_PARTIALLY_SUCCEEDED: Outcome.FAILED,
}
# Error codes of jobs that failed because of their machines, not because of the trainer.
LOST = (code_pb2.RESOURCE_EXHAUSTED, code_pb2.ABORTED, code_pb2.INTERNAL, code_pb2.UNAVAILABLE)
MAX_LISTED = 100  # jobs of the same name that are looked at


def device(options: VertexOptions) -> str:
    """Returns the --device of gld2 train on the machine.

    TPUs since v5e are part of the machine type; there is no --accelerator for them.

    Raises:
      UserError: Vertex AI has no such accelerator.
    """
    names = list(AcceleratorType.__members__)[1:]
    if options.accelerator and options.accelerator not in names:
        wanted = ", ".join(names)
        raise UserError(f"--accelerator {options.accelerator}: expected one of {wanted}")
    is_tpu = options.accelerator.startswith("TPU_") or options.machine_type.startswith("ct")
    return "tpu" if is_tpu else "auto"


def request(options: VertexOptions) -> CreateCustomJobRequest:
    """Returns the request that creates the custom job.

    Args:
      options: the checked flags; `train` has those of gld2 train.
    """
    container = aiplatform_v1.ContainerSpec(
        image_uri=options.image, command=["gld2"], args=["train", *options.train]
    )
    pool = aiplatform_v1.WorkerPoolSpec(
        container_spec=container, machine_spec=_machine(options), replica_count=1
    )
    spec = aiplatform_v1.CustomJobSpec(
        worker_pool_specs=[pool],
        scheduling=_scheduling(options),
        service_account=options.service_account,
        network=options.network,
        base_output_directory=aiplatform_v1.GcsDestination(output_uri_prefix=options.run_folder),
    )
    return CreateCustomJobRequest(
        parent=f"projects/{options.project}/locations/{options.region}",
        custom_job=CustomJob(display_name=options.name, job_spec=spec),
    )


def _machine(options: VertexOptions) -> aiplatform_v1.MachineSpec:
    return aiplatform_v1.MachineSpec(
        machine_type=options.machine_type,
        accelerator_type=options.accelerator or None,
        accelerator_count=options.chips if options.accelerator else 0,
        tpu_topology=options.tpu_topology,
    )


def _scheduling(options: VertexOptions) -> Scheduling:
    strategy = Scheduling.Strategy.STRATEGY_UNSPECIFIED
    if options.spot:
        strategy = Scheduling.Strategy.SPOT
    if options.flex_start:
        strategy = Scheduling.Strategy.FLEX_START
    hours = {"timeout": options.timeout_hours, "max_wait_duration": options.max_wait_hours}
    return Scheduling(
        strategy=strategy,
        restart_job_on_worker_restart=options.restart_on_restart,
        **{name: datetime.timedelta(hours=value) for name, value in hours.items() if value},
    )


def connect(options: VertexOptions, wanted: CreateCustomJobRequest) -> VertexRun:
    """Returns the run of a request, with a client that uses the machine's own credentials."""
    return VertexRun(options, wanted)


class VertexRun:
    """A run as a custom job, from its request to its end; a `follow.CloudRun`."""

    def __init__(
        self,
        options: VertexOptions,
        wanted: CreateCustomJobRequest,
        client: aiplatform_v1.JobServiceClient | None = None,
    ):
        """Connects; where no client is given, with the machine's own credentials."""
        endpoint = f"{options.region}-aiplatform.googleapis.com"  # each region has its own
        self._options = options
        self._wanted = wanted
        self._client = client or aiplatform_v1.JobServiceClient(
            client_options={"api_endpoint": endpoint}
        )
        self._name = ""

    def start(self) -> str:
        """Creates the job, unless there is an active one; returns its resource name.

        Raises:
          UserError: an active one of this name has another image or other flags.
        """
        found = self._find()
        if found:
            self._check_same_request(found)
            self._name = found.name
            return f"{self._name} (it exists already, so nothing was sent)"
        job = self._client.create_custom_job(self._wanted, timeout=follow.TIMEOUT)
        self._name = job.name
        return self._name

    def poll(self) -> Status:
        """Returns the job's state; the outcome is LOST where its machines failed."""
        job = self._client.get_custom_job(name=self._name, timeout=follow.TIMEOUT)
        outcome = OUTCOMES.get(job.state)
        if job.state == JobState.JOB_STATE_FAILED and job.error.code in LOST:
            outcome = Outcome.LOST
        return Status(job.state.name, outcome, job.error.message)

    def links(self) -> dict[str, str]:
        """Returns URLs and gcloud commands for looking at the run, by title."""
        options = self._options
        number = self._name.rpartition("/")[2]
        place = f"--project={options.project} --region={options.region}"
        console = "https://console.cloud.google.com"
        job = f"vertex-ai/locations/{options.region}/training/{number}"
        return {
            "console": f"{console}/{job}?project={options.project}",
            "logging": f"{console}/logs/viewer?project={options.project}"
            f"&resource=ml_job/job_id/{number}",
            "live": f"gcloud ai custom-jobs stream-logs {number} {place}",
            "state": f"gcloud ai custom-jobs describe {number} {place}",
            "cancel": f"gcloud ai custom-jobs cancel {number} {place}",
        }

    def close(self) -> None:
        """Does nothing, as Vertex removes the machines."""

    def _find(self) -> CustomJob | None:
        """Returns an active job of this name, if there is one.

        Vertex would accept a second one; both would write to one folder.
        """
        over = " AND ".join(f'state!="{JobState(state).name}"' for state in OUTCOMES)
        jobs = self._client.list_custom_jobs(
            aiplatform_v1.ListCustomJobsRequest(
                parent=self._wanted.parent, filter=f'display_name="{self._options.name}" AND {over}'
            ),
            timeout=follow.TIMEOUT,
        )
        active = (job for job in itertools.islice(jobs, MAX_LISTED) if job.state not in OUTCOMES)
        return next(active, None)

    def _check_same_request(self, found: CustomJob) -> None:
        """Raises UserError where an active job has another image or other flags."""
        pools = found.job_spec.worker_pool_specs
        wanted = self._wanted.custom_job.job_spec.worker_pool_specs
        if [pool.container_spec for pool in pools] != [pool.container_spec for pool in wanted]:
            number = found.name.rpartition("/")[2]
            raise UserError(
                f"a job named {self._options.name} is active with another image or other flags "
                f"({number}): give another --name, or cancel it"
            )
