"""The flags of `gld2 submit` and its help texts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from pipelines.common.errors import UserError
from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import Options, flag, folder

EPILOG = """\
gld2 submit tpu --help and gld2 submit vertex --help explain the flags of each. The flags of
gld2 train follow after --; they are checked before anything is sent. --data and --job_dir have to
be on gs://. The trainer resumes from --job_dir: the same command continues an interrupted run.

  gld2 submit tpu --project PROJECT --zone europe-west4-a --name gld2-b0 --accelerator v3-8 \\
      --package dist/gld2-0.1.0-py3-none-any.whl --staging gs://BUCKET/staging --dry_run \\
      -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job

credentials: run gcloud auth application-default login; --dry_run needs none
"""

_TPU = """\
examples:
  Build the package that the TPU VM installs, once:
    pip wheel --no-deps -w dist .
  Print the exact request and send nothing:
    gld2 submit tpu --project PROJECT --zone europe-west4-a --name gld2-b0 --accelerator v3-8 \\
        --package dist/gld2-0.1.0-py3-none-any.whl --constraints constraints.txt \\
        --staging gs://BUCKET/staging --dry_run \\
        -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job --batch_size 1024
  On a spot TPU, requested again whenever it is taken away, and deleted at the end:
    gld2 submit tpu ... --spot --wait --delete_when_done -- ...

what happens: the package is uploaded to --staging, and a queued resource waits for a TPU. Each
worker of the TPU then installs the package in a Python of its own and runs gld2 train --device tpu.
It runs it again after a reboot, and after an error up to 5 times in a row; errors in the flags or
in the data (exit code 2) are final. Its log is on the serial console and below JOB_DIR/submit/. If
the command is interrupted while it waits, the same command follows the same run. The service
account needs storage.objectAdmin on the buckets, and tpu.admin for --delete_when_done. The flags
are stored in the VM's metadata, where others can read them: pass no secrets in them.
"""

_VERTEX = """\
examples:
  A TPU v3-8, for at most 12 hours:
    gld2 submit vertex --project PROJECT --region europe-west4 --name gld2-b0 \\
        --image europe-west4-docker.pkg.dev/PROJECT/gld2/trainer-tpu --machine_type cloud-tpu \\
        --accelerator TPU_V3 --timeout_hours 12 --staging gs://BUCKET/staging --wait \\
        -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job --batch_size 1024
  A TPU v5e of four chips, which are part of the machine type:
    gld2 submit vertex ... --machine_type ct5lp-hightpu-4t --tpu_topology 2x2 -- ...
  A spot GPU:
    gld2 submit vertex ... --machine_type n1-standard-16 --accelerator NVIDIA_TESLA_T4 --spot -- ...

The image has to have gld2 on its PATH, installed with the extra tpu or trainer.
"""

RUNTIMES = {  # generation of TPU -> runtime version (VM image) for JAX
    "v2": "tpu-ubuntu2204-base",
    "v3": "tpu-ubuntu2204-base",
    "v4": "tpu-ubuntu2204-base",
    "v5litepod": "v2-alpha-tpuv5-lite",
    "v5p": "v2-alpha-tpuv5",
    "v6e": "v2-alpha-tpuv6e",
}
PACKAGES = (".whl", ".tar.gz", ".zip")
YEAR = 24 * 365  # hours


def matching(pattern: str, words: str) -> Callable[[str], str]:
    """Returns a parser that accepts texts that match a pattern and raises ValueError for others.

    Args:
      pattern: regular expression that the whole text has to match.
      words: what is expected, for the error message.
    """

    def parse_matching(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {words}, found {text!r}")
        return text

    return parse_matching


def parse_staging(text: str) -> str:
    """Returns the gs:// path of a folder, without a slash at its end.

    Raises:
      ValueError: the text is no gs:// path.
    """
    pattern = r"gs://[a-z0-9._-]+(/[^\s*?\[\]#]*)?"
    return matching(pattern, "gs://BUCKET/FOLDER")(folder(text))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmitOptions(Options):
    """The flags of `gld2 submit tpu` and `gld2 submit vertex` alike.

    Attributes:
      train: the flags of gld2 train, which follow `--`.
      job_dir: the job folder in those flags, on gs://.
    """

    project: str = flag(
        about="the Google Cloud project that is billed",
        parse=matching(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project's id"),
    )
    name: str = flag(
        about="name of this run, unique in the project",
        parse=matching(
            r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "a-z, 0-9 and -, at most 63, a letter first"
        ),
    )
    staging: str = flag(
        about="folder for the files that the run needs",
        metavar="gs://BUCKET/FOLDER",
        parse=parse_staging,
    )
    spot: bool = flag(False, "use spot machines: cheaper, but they may be taken away at any time")
    service_account: str = flag("", "account that the trainer runs as", metavar="EMAIL")
    network: str = flag("", "network of the machines")
    dry_run: bool = flag(False, "print the exact request as JSON, and send nothing")
    wait: bool = flag(False, "follow the run until it is over")
    attempts: int = flag(
        10,
        "with --wait: submissions at most; a run is sent again when its machines are taken away",
        least=1,
        most=1000,
    )
    poll_seconds: float = flag(
        30.0,
        "with --wait: seconds between two requests for the state",
        metavar="S",
        least=1,
        most=3600,
    )
    train: tuple[str, ...] = ()
    job_dir: str = ""

    @property
    def run_folder(self) -> str:
        """The folder below --staging for the files of this run."""
        return f"{self.staging}/{self.name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TpuOptions(SubmitOptions):
    """The flags of `gld2 submit tpu`."""

    zone: str = flag(
        about="zone of the TPU, such as europe-west4-a",
        parse=matching(r"[a-z]+-[a-z]+[0-9]+-[a-z]", "one such as europe-west4-a"),
    )
    accelerator: str = flag(
        about="type and number of cores or chips, such as v3-8, v4-32, v5litepod-8",
        metavar="TYPE",
        parse=matching(r"(v[0-9]+[a-z]*)-[0-9]+", "one such as v3-8"),
    )
    runtime_version: str = flag(
        "", "image of the TPU VM (default: by the accelerator)", metavar="IMAGE"
    )
    package: str = flag(about="wheel or sdist of gld2, local or on gs://", metavar="FILE")
    constraints: str = flag("", "constraints file for pip, local or on gs://", metavar="FILE")
    subnetwork: str = flag("", "subnetwork of the machines")
    internal_ips: bool = flag(
        False, "use no public addresses; to install packages, the network then needs a NAT"
    )
    valid_until_hours: float | None = flag(
        None, "give up if no TPU is available within H hours (default: never)", metavar="H"
    )
    delete_when_done: bool = flag(False, "delete the TPU when the run is over, successful or not")

    def __post_init__(self) -> None:
        """Checks the flags.

        Raises:
          UserError: there is no known image for the accelerator, the package is of another type, or
            a time is out of bounds.
        """
        super().__post_init__()
        if not self.image:
            kind = self.accelerator.partition("-")[0]
            raise UserError(
                f"--runtime_version: no default is known for accelerators of type {kind}; give it"
            )
        if not self.package.endswith(PACKAGES):
            raise UserError(f"--package {self.package}: expected {', '.join(PACKAGES)}")
        if self.valid_until_hours is not None and not 0 < self.valid_until_hours <= YEAR:
            found = self.valid_until_hours
            raise UserError(f"--valid_until_hours: expected 0 to {YEAR}, found {found}")

    @property
    def image(self) -> str:
        """The runtime version as given, or else that of RUNTIMES; '' where there is none."""
        return self.runtime_version or RUNTIMES.get(self.accelerator.partition("-")[0], "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VertexOptions(SubmitOptions):
    """The flags of `gld2 submit vertex`."""

    region: str = flag(
        about="region of the job, such as europe-west4",
        parse=matching(r"[a-z]+-[a-z]+[0-9]+", "one such as europe-west4"),
    )
    image: str = flag(about="container image with gld2", metavar="URI")
    machine_type: str = flag(
        about="type of the machine; cloud-tpu for TPU v2 and v3", metavar="TYPE"
    )
    accelerator: str = flag(
        "", "type of the accelerators, such as TPU_V3 or NVIDIA_TESLA_T4", metavar="TYPE"
    )
    accelerator_count: int | None = flag(
        None, "number of accelerators (default: 8 for TPU_..., else 1)", least=1
    )
    tpu_topology: str = flag(
        "", "topology of TPUs that are part of the machine type", metavar="2x2"
    )
    timeout_hours: float = flag(
        0.0,
        "stop the job after H hours (default: Vertex AI's, 7 days)",
        metavar="H",
        shown="",
        least=0,
        most=YEAR,
    )
    flex_start: bool = flag(False, "wait in a queue until the machines are available")
    max_wait_hours: float = flag(
        0.0,
        "with --flex_start: give up after H hours of waiting (default: Vertex AI's, 24)",
        metavar="H",
        shown="",
        least=0,
        most=YEAR,
    )
    restart_on_restart: bool = flag(
        False, "restart the whole job when a worker restarts; it resumes from its checkpoint"
    )

    def __post_init__(self) -> None:
        """Checks the flags; raises UserError where two of them exclude each other."""
        super().__post_init__()
        if self.spot and self.flex_start:
            raise UserError("--spot and --flex_start: give one of them")
        if self.max_wait_hours and not self.flex_start:
            raise UserError("--max_wait_hours is for --flex_start")

    @property
    def chips(self) -> int:
        """The number of accelerators as given, or else 8 for TPUs and 1 for others."""
        if self.accelerator_count is not None:
            return self.accelerator_count
        return 8 if self.accelerator.startswith("TPU_") else 1


def _command(target: str, options: type[SubmitOptions], about: str, epilog: str) -> Command:
    usage = f"gld2 submit {target} [flags] -- FLAGS OF gld2 train"
    return Command(f"submit {target}", options, f"Runs gld2 train {about}.", epilog, usage)


TARGETS = {
    "tpu": _command("tpu", TpuOptions, "on a TPU VM, or a slice of several", _TPU),
    "vertex": _command("vertex", VertexOptions, "as a Vertex AI custom job", _VERTEX),
}


def parse(argv: Sequence[str]) -> tuple[SubmitOptions, list[str]]:
    """Returns the parsed flags of gld2 submit, and the words of gld2 train that follow `--`.

    Raises:
      UserError: a flag that is unknown, malformed or missing.
    """
    own = list(argv)
    train: list[str] = []
    if "--" in own:
        cut = own.index("--")
        own, train = own[:cut], own[cut + 1 :]
    target, *flags = own or [""]
    if target not in TARGETS:
        raise UserError(f"expected tpu or vertex first, found {target!r}; see gld2 submit --help")
    options = TARGETS[target].parse(flags)
    if not train:
        raise UserError("expected -- and the flags of gld2 train at the end")
    return options, train
