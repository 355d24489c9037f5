"""The flags of `gld2 submit`, and what --help says."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from pipelines.common.command_line import Command
from pipelines.common.errors import UserError
from pipelines.common.options import Options, flag, folder

EPILOG = """\
gld2 submit tpu --help and gld2 submit vertex --help teach each. After -- come the flags of
gld2 train, which are checked here first: a typo costs no TPU minute. --data and --job_dir are on
gs://; the trainer resumes from --job_dir, so the same command goes on wherever a run broke off.

  gld2 submit tpu --project PROJECT --zone europe-west4-a --name gld2-b0 --accelerator v3-8 \\
      --package dist/gld2-0.1.0-py3-none-any.whl --staging gs://BUCKET/staging --dry_run \\
      -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job

credentials: gcloud auth application-default login; --dry_run needs none
"""

_TPU = """\
examples:
  Once: the package that the TPU VM installs
    pip wheel --no-deps -w dist .
  See the exact request, and send nothing:
    gld2 submit tpu --project PROJECT --zone europe-west4-a --name gld2-b0 --accelerator v3-8 \\
        --package dist/gld2-0.1.0-py3-none-any.whl --constraints constraints.txt \\
        --staging gs://BUCKET/staging --dry_run \\
        -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job --batch_size 1024
  On a spot TPU, asked for again whenever it is taken away, and deleted at the end:
    gld2 submit tpu ... --spot --wait --delete_when_done -- ...

what happens: the package goes to --staging; a queued resource waits for a TPU; when one is there,
each of its workers installs the package in a Python of its own and runs gld2 train --device tpu,
again after an error (5 times in a row; not after a mistake of yours), and after a reboot. Its log
is on the serial console and below JOB_DIR/submit/. Interrupted while it waits? The same command
again follows the same run. The service account needs storage.objectAdmin on the buckets, and
tpu.admin for --delete_when_done. The flags can be read in the VM's metadata: put no secret there.
"""

_VERTEX = """\
examples:
  A TPU v3-8, for at most 12 hours:
    gld2 submit vertex --project PROJECT --region europe-west4 --name gld2-b0 \\
        --image europe-west4-docker.pkg.dev/PROJECT/gld2/trainer-tpu --machine_type cloud-tpu \\
        --accelerator TPU_V3 --timeout_hours 12 --staging gs://BUCKET/staging --wait \\
        -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job --batch_size 1024
  A TPU v5e of four chips; the machine brings them:
    gld2 submit vertex ... --machine_type ct5lp-hightpu-4t --tpu_topology 2x2 -- ...
  A spot GPU:
    gld2 submit vertex ... --machine_type n1-standard-16 --accelerator NVIDIA_TESLA_T4 --spot -- ...

The image has gld2 on its PATH, with the extra tpu or trainer.
"""

RUNTIMES = {  # generation of TPU -> the image that JAX is installed on
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
    """Returns a parser of texts that fit a pattern; it raises ValueError for others.

    Args:
      pattern: that the whole text has to fit.
      words: what is expected, for a person.
    """

    def parse_matching(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {words}, found {text!r}")
        return text

    return parse_matching


def parse_staging(text: str) -> str:
    """Returns a folder on Cloud Storage.

    Raises:
      ValueError: the text is no such path.
    """
    pattern = r"gs://[a-z0-9._-]+(/[^\s*?\[\]#]*)?"
    return matching(pattern, "gs://BUCKET/FOLDER")(folder(text))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmitOptions(Options):
    """The flags that both ways have.

    Attributes:
      train: the flags of gld2 train, which follow `--`.
      job_dir: that those flags name.
    """

    project: str = flag(
        about="the Google Cloud project that pays",
        parse=matching(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project's id"),
    )
    name: str = flag(
        about="of this run, among those of the project",
        parse=matching(
            r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "a-z, 0-9 and -, at most 63, a letter first"
        ),
    )
    staging: str = flag(
        about="for what is sent along", metavar="gs://BUCKET/FOLDER", parse=parse_staging
    )
    spot: bool = flag(False, "cheaper machines that may be taken away at any time")
    service_account: str = flag("", "whom the trainer works as", metavar="EMAIL")
    network: str = flag("", "of the machines")
    dry_run: bool = flag(False, "print the exact request as JSON and send nothing")
    wait: bool = flag(False, "follow the run to its end")
    attempts: int = flag(
        10,
        "with --wait: how often it is submitted in all, where its machines are taken away",
        least=1,
        most=1000,
    )
    poll_seconds: float = flag(
        30.0, "with --wait: between two looks", metavar="S", least=1, most=3600
    )
    train: tuple[str, ...] = ()
    job_dir: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TpuOptions(SubmitOptions):
    """The flags of `gld2 submit tpu`."""

    zone: str = flag(
        about="such as europe-west4-a",
        parse=matching(r"[a-z]+-[a-z]+[0-9]+-[a-z]", "one such as europe-west4-a"),
    )
    accelerator: str = flag(
        about="such as v3-8, v4-32, v5litepod-8",
        metavar="TYPE",
        parse=matching(r"(v[0-9]+[a-z]*)-[0-9]+", "one such as v3-8"),
    )
    runtime_version: str = flag("", "(default: fits the accelerator)", metavar="IMAGE")
    package: str = flag(about="the wheel or sdist of gld2, here or on gs://", metavar="FILE")
    constraints: str = flag("", "versions for pip, here or on gs://", metavar="FILE")
    subnetwork: str = flag("", "of the machines")
    internal_ips: bool = flag(
        False, "no public addresses; the network then needs a NAT, to install packages"
    )
    valid_until_hours: float | None = flag(
        None, "give up where there is no TPU by then (default: never)", metavar="H"
    )
    delete_when_done: bool = flag(False, "delete the TPU when the run is over, well or not")

    def __post_init__(self) -> None:
        """Raises UserError for an accelerator without a known image, a package, or a time."""
        super().__post_init__()
        if not self.image:
            kind = self.accelerator.partition("-")[0]
            raise UserError(f"--runtime_version: give it, as {kind} is not known here")
        if not self.package.endswith(PACKAGES):
            raise UserError(f"--package {self.package}: expected {', '.join(PACKAGES)}")
        if self.valid_until_hours is not None and not 0 < self.valid_until_hours <= YEAR:
            found = self.valid_until_hours
            raise UserError(f"--valid_until_hours: expected 0 to {YEAR}, found {found}")

    @property
    def image(self) -> str:
        """The runtime version: as given, or the one that fits the accelerator; else ""."""
        return self.runtime_version or RUNTIMES.get(self.accelerator.partition("-")[0], "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VertexOptions(SubmitOptions):
    """The flags of `gld2 submit vertex`."""

    region: str = flag(
        about="such as europe-west4",
        parse=matching(r"[a-z]+-[a-z]+[0-9]+", "one such as europe-west4"),
    )
    image: str = flag(about="a container image with gld2", metavar="URI")
    machine_type: str = flag(about="cloud-tpu for TPU v2 and v3", metavar="TYPE")
    accelerator: str = flag("", "such as TPU_V3 or NVIDIA_TESLA_T4", metavar="TYPE")
    accelerator_count: int | None = flag(None, "(default: 8 for TPU_..., else 1)", least=1)
    tpu_topology: str = flag("", "of TPUs that come with the machine", metavar="2x2")
    timeout_hours: float = flag(
        0.0,
        "stop it then (default: Vertex's, 7 days)",
        metavar="H",
        shown="",
        least=0,
        most=YEAR,
    )
    flex_start: bool = flag(False, "queue until the machines can be had")
    max_wait_hours: float = flag(
        0.0,
        "with --flex_start: give up then (default: Vertex's, 24)",
        metavar="H",
        shown="",
        least=0,
        most=YEAR,
    )
    restart_on_restart: bool = flag(
        False, "start the whole job again where a worker is; it resumes from its checkpoint"
    )

    def __post_init__(self) -> None:
        """Raises UserError for flags that exclude each other."""
        super().__post_init__()
        if self.spot and self.flex_start:
            raise UserError("--spot and --flex_start: give one of them")
        if self.max_wait_hours and not self.flex_start:
            raise UserError("--max_wait_hours is for --flex_start")

    @property
    def chips(self) -> int:
        """How many accelerators: as given, or what their kind usually has."""
        if self.accelerator_count is not None:
            return self.accelerator_count
        return 8 if self.accelerator.startswith("TPU_") else 1


def _command(target: str, options: type[SubmitOptions], about: str, epilog: str) -> Command:
    usage = f"gld2 submit {target} [flags] -- FLAGS OF gld2 train"
    return Command(f"submit {target}", options, f"Sends gld2 train {about}.", epilog, usage)


TARGETS = {
    "tpu": _command("tpu", TpuOptions, "to a TPU VM, or a slice of several", _TPU),
    "vertex": _command("vertex", VertexOptions, "as a Vertex AI custom job", _VERTEX),
}


def parse(argv: Sequence[str]) -> tuple[SubmitOptions, list[str]]:
    """Returns the command's own flags, and those of gld2 train behind `--`.

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
